package journal

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Flow is the record of a correlation id in a journal.
type Flow struct {
	ID      string         `json:"id"`
	Events  []FlowEvent    `json:"events"`            // in the order of the log
	Delayed []DelayedEvent `json:"delayed,omitempty"` // not due yet, the next first
	// Cancelled are delayed events that were cancelled or replaced, and will not come.
	Cancelled []DelayedEvent `json:"cancelled,omitempty"`
	Omitted   int64          `json:"omitted,omitempty"` // number of later events missing in Events, for a very long flow
}

// Outcomes counts the reactions of the flow by outcome.
func (f *Flow) Outcomes() map[Outcome]int {
	n := map[Outcome]int{}
	for i := range f.Events {
		for j := range f.Events[i].Reactions {
			n[f.Events[i].Reactions[j].Outcome]++
		}
	}
	return n
}

// FlowEvent is an event with the answer of every subscription that consumes the event.
type FlowEvent struct {
	EventRecord
	Reactions []Reaction `json:"reactions"` // by subscription
}

// EventRecord is an Event for display. The payload is in Data when it is JSON in UTF-8, also by its content type,
// otherwise in DataBase64.
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
	Subscription  string            `json:"subscription,omitempty"` // the subscription that emitted the event
	Hops          int               `json:"hops"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	Data          json.RawMessage   `json:"data,omitempty"`
	DataBase64    []byte            `json:"data_base64,omitempty"` // encoded by encoding/json
}

// NewEventRecord returns e for display. The record shares the payload and the metadata of e.
func NewEventRecord(e *Event) EventRecord {
	r := EventRecord{
		Seq: e.Seq, ID: e.ID, Type: e.Type, Version: e.Version, Source: e.Source, Key: e.Key, Time: e.Time.UTC(),
		CorrelationID: e.CorrelationID, CausationID: e.CausationID, Subscription: e.Subscription, Hops: e.Hops,
		Metadata: e.Metadata,
	}
	// json.Valid accepts any bytes inside a string, and a few bytes in another format may look like JSON.
	if json.Valid(e.Data) && utf8.Valid(e.Data) && IsJSON(e.Metadata[MetaContentType]) {
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
	Attempts     int           `json:"attempts"`              // attempts that have ended; 0 before the first
	Started      time.Time     `json:"started,omitzero"`      // start of the last attempt; zero before the first
	Duration     time.Duration `json:"-"`                     // of the last attempt; in JSON duration_us, microseconds
	Error        string        `json:"error,omitempty"`       // error of the last attempt; the reason of a drop or of a skip
	RetryAt      time.Time     `json:"retry_at,omitzero"`     // with Retrying: when the next attempt is due
	BlockedBy    int64         `json:"behind,omitempty"`      // with Blocked: seq of the oldest open event with the same key
	Parked       bool          `json:"parked,omitempty"`      // with Dead: later events of its key wait until a person acts
	DeadLetter   int64         `json:"dead_letter,omitempty"` // id of the dead letter, if the delivery ever became one
}

// MarshalJSON adds the duration in microseconds.
func (r Reaction) MarshalJSON() ([]byte, error) {
	type fields Reaction
	return json.Marshal(struct {
		fields
		DurationUS int64 `json:"duration_us"`
	}{fields(r), r.Duration.Microseconds()})
}

// DelayedEvent is a stored event that the journal appends to the log when due.
type DelayedEvent struct {
	ID           string    `json:"id"`
	Type         string    `json:"type"`
	Key          string    `json:"key,omitempty"`
	Due          time.Time `json:"due"` // UTC
	CausationID  string    `json:"causation_id,omitempty"`
	Subscription string    `json:"subscription,omitempty"` // the subscription that emitted the event
	Name         string    `json:"name,omitempty"`
	CancelledAt  time.Time `json:"cancelled_at,omitzero"` // UTC; zero for an event that is to come
}

// LetterStatus is the state of a dead letter.
type LetterStatus string

// The states of a dead letter. Only a letter with LetterDead can be replayed or dropped. A replayed letter that fails
// again has LetterDead again.
const (
	LetterDead      LetterStatus = "dead"
	LetterReplaying LetterStatus = "replaying" // replayed by a person: waits for an attempt, or is being retried
	LetterReplayed  LetterStatus = "replayed"  // handled after a replay
	LetterDropped   LetterStatus = "dropped"
)

// DeadLetter is an event that a subscription could not process.
type DeadLetter struct {
	ID           int64        `json:"id"`
	Subscription string       `json:"subscription"`
	Status       LetterStatus `json:"status"`
	Error        string       `json:"error"`
	Stack        string       `json:"stack,omitempty"` // of a panic
	Attempts     int          `json:"attempts"`        // total, with replays
	FirstFailed  time.Time    `json:"first_failed_at"`
	DeadAt       time.Time    `json:"dead_at"`
	Event        EventRecord  `json:"event"`
	Acts         []Act        `json:"acts,omitempty"` // the oldest first
}

// Act is an action of a person on a dead letter.
type Act struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Act    string    `json:"act"` // "replay" or "drop"
	Reason string    `json:"reason,omitempty"`
}

// AtRest reports whether every subscription has answered every event of the flows.
func AtRest(flows []*Flow) bool {
	for _, f := range flows {
		for outcome := range f.Outcomes() {
			if !outcome.Final() {
				return false
			}
		}
	}
	return true
}
