package journal

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Flow is everything that a journal has on record under one correlation id.
type Flow struct {
	ID      string         `json:"id"`
	Events  []FlowEvent    `json:"events"`            // in the order of the log
	Delayed []DelayedEvent `json:"delayed,omitempty"` // still to come, the next one first
	Omitted int64          `json:"omitted,omitempty"` // how many later events Events leaves out, of a flow that is too long to be shown
}

// Outcomes counts the flow's reactions.
func (f *Flow) Outcomes() map[Outcome]int {
	n := map[Outcome]int{}
	for i := range f.Events {
		for j := range f.Events[i].Reactions {
			n[f.Events[i].Reactions[j].Outcome]++
		}
	}
	return n
}

// FlowEvent is an event with the answer of every subscription that wants it.
type FlowEvent struct {
	EventRecord
	Reactions []Reaction `json:"reactions"` // by subscription
}

// EventRecord is an Event in the form in which it is shown. The payload is in Data when it is JSON in UTF-8, otherwise in
// DataBase64.
type EventRecord struct {
	Seq           int64             `json:"seq"`
	ID            string            `json:"id"`
	Type          string            `json:"type"`
	Version       int               `json:"version"`
	Source        string            `json:"source,omitempty"`
	Key           string            `json:"key,omitempty"`
	Time          time.Time         `json:"time"` // UTC
	CorrelationID string            `json:"correlation_id"`
	CausationID   string            `json:"causation_id,omitempty"`
	Subscription  string            `json:"subscription,omitempty"` // whose reaction emitted it
	Hops          int               `json:"hops"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	Data          json.RawMessage   `json:"data,omitempty"`
	DataBase64    []byte            `json:"data_base64,omitempty"` // encoded by encoding/json
}

// NewEventRecord shows e. It shares e's payload and metadata.
func NewEventRecord(e *Event) EventRecord {
	r := EventRecord{
		Seq: e.Seq, ID: e.ID, Type: e.Type, Version: e.Version, Source: e.Source, Key: e.Key, Time: e.Time.UTC(),
		CorrelationID: e.CorrelationID, CausationID: e.CausationID, Subscription: e.Subscription, Hops: e.Hops, Metadata: e.Metadata,
	}
	if json.Valid(e.Data) && utf8.Valid(e.Data) { // encoding/json passes any bytes inside of a string
		r.Data = e.Data
	} else {
		r.DataBase64 = e.Data
	}
	return r
}

// Reaction is the answer that a journal has for an event and a subscription.
type Reaction struct {
	Subscription string        `json:"subscription"`
	Outcome      Outcome       `json:"outcome"`
	Attempts     int           `json:"attempts"`              // begun and ended; 0 where there was none
	Started      time.Time     `json:"started,omitzero"`      // the last attempt; zero where there was none
	Duration     time.Duration `json:"-"`                     // of the last attempt; in JSON duration_us, microseconds
	Error        string        `json:"error,omitempty"`       // of the last attempt; the reason of a drop or of a skip
	RetryAt      time.Time     `json:"retry_at,omitzero"`     // with Retrying: when the next attempt is due
	BlockedBy    int64         `json:"behind,omitempty"`      // with Blocked: seq of the oldest open event of its key
	Parked       bool          `json:"parked,omitempty"`      // with Dead: later events of its key wait until a person acts
	DeadLetter   int64         `json:"dead_letter,omitempty"` // its id, if the event ever became one here
}

// MarshalJSON adds the duration.
func (r Reaction) MarshalJSON() ([]byte, error) {
	type fields Reaction
	return json.Marshal(struct {
		fields
		DurationUS int64 `json:"duration_us"`
	}{fields(r), r.Duration.Microseconds()})
}

// DelayedEvent is an event that is stored, and appended to the log when it is due.
type DelayedEvent struct {
	ID           string    `json:"id"`
	Type         string    `json:"type"`
	Key          string    `json:"key,omitempty"`
	Due          time.Time `json:"due"` // UTC
	CausationID  string    `json:"causation_id,omitempty"`
	Subscription string    `json:"subscription,omitempty"` // whose reaction emitted it
}

// LetterStatus is what has become of a dead letter.
type LetterStatus string

// The states of a dead letter. Only one that is dead can be replayed or dropped; one that fails again when it is
// replayed is dead again.
const (
	LetterDead      LetterStatus = "dead"
	LetterReplaying LetterStatus = "replaying" // a person had it replayed; it waits for its turn, or is being retried
	LetterReplayed  LetterStatus = "replayed"  // handled after all
	LetterDropped   LetterStatus = "dropped"
)

// DeadLetter is an event that one subscription could not process.
type DeadLetter struct {
	ID           int64        `json:"id"`
	Subscription string       `json:"subscription"`
	Status       LetterStatus `json:"status"`
	Error        string       `json:"error"`
	Stack        string       `json:"stack,omitempty"` // of a panic
	Attempts     int          `json:"attempts"`        // in all, replays included
	FirstFailed  time.Time    `json:"first_failed_at"`
	DeadAt       time.Time    `json:"dead_at"`
	Event        EventRecord  `json:"event"`
	Acts         []Act        `json:"acts,omitempty"` // the oldest first
}

// Act is what a person did with a dead letter.
type Act struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Act    string    `json:"act"` // "replay" or "drop"
	Reason string    `json:"reason,omitempty"`
}
