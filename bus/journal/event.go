package journal

import (
	"time"
)

// Event is an immutable fact in a journal: CloudEvents attributes as fields, and the payload as received.
type Event struct {
	Seq           int64             // position in this journal, from 1, never used twice; 0 before the append
	ID            string            // unique in a journal; assigned by the publisher
	Type          string            // durable name, "order.placed"; the topic of the Watermill message
	Version       int               // version of the type's shape, from 1
	Source        string            // the module that published the event; "" for an event from outside the bus
	Key           string            // events with the same key stay in order; "" means no order
	Time          time.Time         // time of publishing, microseconds, UTC
	CorrelationID string            // id of the flow
	CausationID   string            // id of the direct cause, an event; "" for the first event of a flow
	Subscription  string            // the subscription that emitted the event; "" for an event from outside
	Hops          int               // number of reactions since the first event of the flow, or since a delayed event
	Metadata      map[string]string // further metadata of the Watermill message; usually nil
	Data          []byte            // the payload; JSON for events of the bus
	Due           time.Time         // time of the append at the earliest; zero means now
	// Timer is the name of a delayed event. The append of an event with a Timer first cancels the delayed event with the
	// same Source, Key and Timer. An event without a Type only cancels: it has a Source, a Key, a Timer and a Time.
	Timer string
}

// Outcome is the answer that a journal has for an event and a subscription.
type Outcome string

// The outcomes. Waiting is never stored: a journal answers Waiting for an event that a subscription has not reached
// yet.
const (
	Done     Outcome = "done"     // handled, with the effects committed
	Skipped  Outcome = "skipped"  // not accepted by the subscription's filter
	Waiting  Outcome = "waiting"  // not started yet
	Retrying Outcome = "retrying" // failed, and will be retried
	Blocked  Outcome = "blocked"  // waits for an earlier event with the same key
	Dead     Outcome = "dead"     // not processed: a dead letter
	Dropped  Outcome = "dropped"  // given up by the handler or by a person, with a reason
)

// TooOld is the error of a Skipped event that a subscription to new events does not want.
const TooOld = "published before the subscription began"

// Final reports whether the outcome changes only when a person acts.
func (o Outcome) Final() bool {
	switch o {
	case Done, Skipped, Dead, Dropped:
		return true
	default:
		return false
	}
}
