package journal

import (
	"time"
)

// Event is an immutable fact as a journal keeps it: CloudEvents attributes as fields, the payload as the bytes that came.
type Event struct {
	Seq           int64             // position in this journal, from 1, never used twice; 0 before it is appended
	ID            string            // unique in a journal; assigned by whoever publishes
	Type          string            // written identity, "order.placed"; as a Watermill message, its topic
	Version       int               // version of the type's shape, from 1
	Source        string            // the module that published it; "" when it came from outside the bus
	Key           string            // events of one key stay in order; "" means no order is asked for
	Time          time.Time         // when it was published, microseconds, UTC
	CorrelationID string            // id of the whole flow
	CausationID   string            // id of the event that directly led to this one; "" for a flow's first
	Subscription  string            // the subscription whose reaction emitted it; "" when it came from outside
	Hops          int               // reactions between the flow's first event and this one
	Metadata      map[string]string // what a Watermill message carried beside the attributes above; usually nil
	Data          []byte            // the payload, JSON for events of the bus
	Due           time.Time         // not to be appended before; zero means now
}

// Outcome is the one answer that a journal has for an event and a subscription.
type Outcome string

// The outcomes. Waiting is never stored: it is the answer for an event that a subscription has not come to yet.
const (
	Done     Outcome = "done"     // handled; its effects are committed
	Skipped  Outcome = "skipped"  // the subscription's filter did not want it
	Waiting  Outcome = "waiting"  // not started yet
	Retrying Outcome = "retrying" // failed, will be tried again
	Blocked  Outcome = "blocked"  // behind an earlier event of its key that has not succeeded
	Dead     Outcome = "dead"     // could not be processed; a dead letter
	Dropped  Outcome = "dropped"  // given up, by the handler or by a person, with a reason
)

// Final reports whether nothing more happens to the delivery by itself.
func (o Outcome) Final() bool {
	switch o {
	case Done, Skipped, Dead, Dropped:
		return true
	default:
		return false
	}
}
