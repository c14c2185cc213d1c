package bus

import (
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/internal/backoff"
	"github.com/troupebus/troupe/bus/journal"
)

// After delays e by d, up to 10 years. The commit stores the delayed event, so the delay survives restarts. The event
// appears in the journal at its due time or a little later. The cause is the reaction that delayed the event.
func After(d time.Duration, e Event) Delayed { return Delayed{Event: e, by: d} }

// At delays e until the time t, up to 10 years ahead, like After. A time in the past means now. A reaction that runs
// hours late, or again, plans the same time: derive t from the event that the handler works on.
func At(t time.Time, e Event) Delayed { return Delayed{Event: e, at: &t} }

// Delayed is an event that comes later; see After and At.
type Delayed struct {
	Event
	by    time.Duration
	at    *time.Time // nil for a delay by a duration
	named bool
	name  string
}

// Named gives the delayed event a name, with the form of a subscription's name. The event replaces the delayed event of
// the module with the same name and EventKey that has not come yet, in the same commit. Cancel takes the name, too.
func (d Delayed) Named(name string) Delayed {
	d.name, d.named = name, true
	return d
}

// Cancel returns an emission that cancels the delayed event with the name and key, if the event has not come yet, in
// the commit of the reaction or unit of work. Only the module that delayed the event can cancel it. An event that is
// due at the time of the commit may have come.
func Cancel(name, key string) Event { return cancel{name, key} }

// cancel is in the list of events to keep the handler's signature small.
type cancel struct{ name, key string }

// EventType is never called: seal takes cancellations out first.
func (cancel) EventType() string { return "" }

// EventKey is never called, either.
func (c cancel) EventKey() string { return c.key }

// checkTimer returns an error when name cannot be the name of a delayed event.
func checkTimer(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%w: the name %q of a delayed event: want lower case letters and digits, with single dashes or underscores between",
			ErrUndeclared, name)
	}
	return nil
}

// seal returns c for the journal.
func (c cancel) seal(m *Module, now time.Time) (*journal.Event, error) {
	return &journal.Event{Source: m.name, Key: c.key, Timer: c.name, Time: now}, checkTimer(c.name)
}

// loopRest is the delay from which an event counts as the first of a flow for Config.MaxHops. A chain of timers may go
// on for ever; a loop that fills the journal has shorter delays, or none.
const loopRest = time.Second

// call returns the call that made d, for errors.
func (d Delayed) call() string {
	if d.at != nil {
		return "At(" + d.at.Format(time.RFC3339)
	}
	return fmt.Sprintf("After(%v", d.by)
}

// plan returns the event with its due time, the zero time for now. An impossible delay is an error.
func (d Delayed) plan(now time.Time) (e Event, due time.Time, err error) {
	switch d.Event.(type) {
	case nil:
		return nil, due, fmt.Errorf("%w: %s, nil): want an event", ErrUndeclared, d.call())
	case Delayed:
		return nil, due, fmt.Errorf("%w: %s, After(…) or At(…)): delay the event once", ErrUndeclared, d.call())
	case cancel, carried:
		return nil, due, fmt.Errorf("%w: %s, %T): want an event of a module", ErrUndeclared, d.call(), d.Event)
	}
	if d.named {
		if err := checkTimer(d.name); err != nil {
			return nil, due, err
		}
	}
	due = now.Add(d.by)
	if d.at != nil {
		due = d.at.UTC().Truncate(time.Microsecond)
	}
	switch by := due.Sub(now); {
	case by > backoff.Longest:
		return nil, due, fmt.Errorf("bus: %s, %s): the longest delay is %v", d.call(), d.Event.EventType(), backoff.Longest)
	case by <= 0:
		due = time.Time{}
	}
	return d.Event, due, nil
}
