package journal

import (
	"context"
	"strings"
	"time"
)

// FeedName says which feed is meant.
type FeedName string

// The feeds of a journal.
const (
	// FeedEvents is every event, in the order of the log, from the oldest on.
	FeedEvents FeedName = "relay"
	// FeedRecords is what became of the deliveries, and what is still to come: events of RecordsType and of DelayedType. A journal
	// begins to note answers when this feed is first opened, with those that it has; what is delayed, it tells of whenever the
	// feed is opened.
	FeedRecords FeedName = "records"
	// Rest is every event, too, with a position of its own. It may come a little later.
	Rest FeedName = sentTo + "_"
)

const sentTo = FeedEvents + ":"

// SentTo is every event, as Sent is, with a position for one topic: what cannot be sent to one holds up no other. Sent itself is as
// far as the last of them.
func SentTo(topic string) FeedName { return sentTo + FeedName(topic) }

// Topic returns which position of Sent it is, "" for Sent itself and other feeds.
func (n FeedName) Topic() string {
	topic, _ := strings.CutPrefix(string(n), string(sentTo))
	if topic == string(n) {
		return ""
	}
	return topic
}

// Feed is a durable place in what a journal has for others. It is for one goroutine, but that Passed may be called by another.
type Feed interface {
	// Next waits until there is something behind what it returned last, and returns the oldest of it, at most limit
	// events. It returns only what survives a power cut: what others have been told cannot be taken back. When ctx ends it
	// returns its error, and when the journal is closed ErrClosed.
	Next(ctx context.Context, limit int) ([]*Event, error)
	// Passed notes that everything up to the event with that seq has been sent. It is written down with a later commit:
	// after a crash, some of it comes again.
	Passed(seq int64)
	// Lag counts what Passed has not been told of.
	Lag() int64
}

// The types of the events of the feed Told.
const (
	// RecordsType has a JSON array of Records as its payload. Of version 2, each of them is all that there is to say of its
	// delivery. Those of version 1 have no Retired, DeadError, AllAttempts and Acts, and what became of the dead letter only with Dead.
	RecordsType = "bus.records"
	// DelayedType has a JSON array of Delayed. It is a type of its own because an observer of an older program refuses an array of
	// Records with something else in it.
	DelayedType = "bus.delayed"
)

// Record is what became of a delivery: the answer of one subscription to one event, as it was when it was sent. Of two, the
// later one in the life of the delivery counts: it says all that the earlier one does.
type Record struct {
	EventID      string    `json:"event_id"`
	EventType    string    `json:"event_type"`
	Subscription string    `json:"subscription"`
	Outcome      Outcome   `json:"outcome"`
	Attempts     int       `json:"attempts"` // since it was last replayed
	Started      time.Time `json:"started"`
	DurationUS   int64     `json:"duration_us"`
	Error        string    `json:"error,omitempty"`
	RetryAt      time.Time `json:"retry_at,omitzero"` // with Retrying
	Parked       bool      `json:"parked,omitempty"`  // with Dead: its key waits for a person
	Retired      bool      `json:"retired,omitempty"` // the subscription is, and does nothing more

	// Of a delivery that is or was dead:
	DeadError   string    `json:"dead_error,omitempty"` // its last one, unless it is the Error
	Stack       string    `json:"stack,omitempty"`      // of a panic
	AllAttempts int       `json:"all_attempts,omitempty"`
	FirstFailed time.Time `json:"first_failed,omitzero"`
	DeadAt      time.Time `json:"dead_at,omitzero"` // the last time
	Acts        []Act     `json:"acts,omitempty"`   // the newest, the oldest of them first
}

// Delayed is an event that a journal has stored, to append it when it is due.
type Delayed struct {
	DelayedEvent
	CorrelationID string `json:"correlation_id"`
}
