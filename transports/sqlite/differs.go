package sqlite

import (
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// differs counts events that came under the id of another one of their source, with other content. The journal keeps the first: an id
// is an event's for ever (CloudEvents 1.0, section "id").
type differs struct {
	count int
	told  time.Time // when the log last heard of it
}

// tell has the log hear of e, now or with a later one.
func (d *differs) tell(logger *slog.Logger, e *journal.Event) {
	d.count++
	if time.Since(d.told) < tellAgain {
		return
	}
	logger.Warn("an event has the id of one that is there, and other content, and is dropped: its sender is to give each event an id of its own",
		slog.String("event_id", e.ID), slog.String("type", e.Type), slog.String("source", e.Source), slog.Int("since_last_told", d.count))
	d.count, d.told = 0, time.Now()
}
