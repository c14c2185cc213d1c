package journal

import (
	"context"
	"time"
)

// FeedName says which feed is meant.
type FeedName string

// The feeds of a journal.
const (
	// Sent is every event, in the order of the log, from the oldest on.
	Sent FeedName = "relay"
	// Told is what became of the deliveries: events of type RecordsType, each with a JSON array of Records as its payload. A
	// journal begins to note them when this feed is first opened, with those that it has.
	Told FeedName = "records"
)

// Feed is a durable place in what a journal has for others. It is for one goroutine, but that Passed may be called by another.
type Feed interface {
	// Next waits until there is something behind what it returned last, and returns the oldest of it, at most limit
	// events. It returns only what survives a power cut: what others have been told cannot be taken back. When ctx ends it
	// returns its error, and when the journal is closed ErrClosed.
	Next(ctx context.Context, limit int) ([]*Event, error)
	// Passed notes that everything up to the event with that seq has been sent. It is written down with a later commit:
	// after a crash, some of it comes again.
	Passed(seq int64)
	// Behind counts what Passed has not been told of.
	Behind() int64
}

// RecordsType is the type of the events of the feed Told.
const RecordsType = "bus.records"

// Record is what became of a delivery: the answer of one subscription to one event, as it was when it was sent.
type Record struct {
	EventID      string    `json:"event_id"`
	EventType    string    `json:"event_type"`
	Subscription string    `json:"subscription"`
	Outcome      Outcome   `json:"outcome"`
	Attempts     int       `json:"attempts"`
	Started      time.Time `json:"started"`
	DurationUS   int64     `json:"duration_us"`
	Error        string    `json:"error,omitempty"`
	Stack        string    `json:"stack,omitempty"`       // with Dead, of a panic
	RetryAt      time.Time `json:"retry_at,omitzero"`     // with Retrying
	FirstFailed  time.Time `json:"first_failed,omitzero"` // with Dead
	DeadAt       time.Time `json:"dead_at,omitzero"`      // with Dead
	Parked       bool      `json:"parked,omitempty"`      // with Dead: its key waits for a person
}
