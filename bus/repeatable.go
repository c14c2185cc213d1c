package bus

import (
	"context"
	"time"

	"github.com/troupebus/troupe/bus/internal/eventid"
	"github.com/troupebus/troupe/bus/internal/react"
	"github.com/troupebus/troupe/bus/journal"
)

// Now returns a time that is the same whenever the work runs again: for events, rows and calls to the outside. In a
// handler Now is the time of the event, at every attempt, after restarts and replays; a handler that runs hours late
// sees an old time. In a unit of work Now is the start of the call of Do. Outside of work Now is the present. The time
// is in UTC, in microseconds. To decide by the real present, such as whether an offer is still open, use time.Now, and
// put the decision into the event, not the time.
func Now(ctx context.Context) time.Time {
	if s := react.ScopeOf(ctx); s != nil {
		return s.Cause().Time
	}
	return toMicros(journal.Clock(ctx)())
}

// NewID returns a UUID. In a handler the first call returns the same id at every attempt, after restarts and replays,
// and so do the second and all further calls. Call NewID in one goroutine, in an order that does not vary. In a unit of
// work the ids are new in each call of Do, and the same when the function of Do runs again. Outside of work every id is
// new.
func NewID(ctx context.Context) string {
	if s := react.ScopeOf(ctx); s != nil {
		return s.NewID()
	}
	return eventid.New()
}

// toMicros returns t as events have it.
func toMicros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
