package bus

import (
	"fmt"
	"time"
)

// After delays e by d, up to 10 years. The commit stores the delayed event, so the delay survives restarts. The event
// appears in the journal at its due time or a little later. The cause is the reaction that delayed the event.
func After(d time.Duration, e Event) Event { return delayed{Event: e, by: d} }

// At delays e until the time t, up to 10 years ahead, like After. A time in the past means now. A reaction that runs
// hours late, or again, plans the same time: derive t from the event that the handler works on.
func At(t time.Time, e Event) Event { return delayed{Event: e, at: &t} }

type delayed struct {
	Event
	by time.Duration
	at *time.Time // nil for a delay by a duration
}

// call returns the call that made d, for errors.
func (d delayed) call() string {
	if d.at != nil {
		return "At(" + d.at.Format(time.RFC3339)
	}
	return fmt.Sprintf("After(%v", d.by)
}

// plan returns the event with its due time, the zero time for now. An impossible delay is an error.
func (d delayed) plan(now time.Time) (e Event, due time.Time, err error) {
	switch d.Event.(type) {
	case nil:
		return nil, due, fmt.Errorf("%w: %s, nil): want an event", ErrUndeclared, d.call())
	case delayed:
		return nil, due, fmt.Errorf("%w: %s, After(…) or At(…)): delay the event once", ErrUndeclared, d.call())
	case also, carried:
		return nil, due, fmt.Errorf("%w: %s, %T): want an event of a module", ErrUndeclared, d.call(), d.Event)
	}
	due = now.Add(d.by)
	if d.at != nil {
		due = d.at.UTC().Truncate(time.Microsecond)
	}
	switch by := due.Sub(now); {
	case by > maxDelay:
		return nil, due, fmt.Errorf("bus: %s, %s): the longest delay is %v", d.call(), d.Event.EventType(), maxDelay)
	case by <= 0:
		due = time.Time{}
	}
	return d.Event, due, nil
}
