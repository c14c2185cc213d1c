package journal

import (
	"context"
	"strings"
	"time"
)

// FeedName is the name of a feed.
type FeedName string

// The feeds of a journal.
const (
	// FeedEvents has every event, in the order of the log, from the oldest.
	FeedEvents FeedName = "relay"
	// FeedRecords has the outcomes of the deliveries and the delayed events, as events of RecordsType and DelayedType.
	// When the feed is first opened, a journal begins to record outcomes for it, and starts with the outcomes so far.
	// Delayed events are repeated whenever the feed is opened.
	FeedRecords FeedName = "records"
	// Rest has every event, like FeedEvents, with a position of its own. An event may appear a little later in Rest.
	Rest FeedName = sentTo + "_"
)

const sentTo = FeedEvents + ":"

// SentTo returns the feed of every event with a position for topic alone, so that a topic that cannot be written does
// not delay the others. The stored position of FeedEvents is the lowest of these positions.
func SentTo(topic string) FeedName { return sentTo + FeedName(topic) }

// Topic returns the topic given to SentTo, or "" for other feeds.
func (n FeedName) Topic() string {
	topic, _ := strings.CutPrefix(string(n), string(sentTo))
	if topic == string(n) {
		return ""
	}
	return topic
}

// Feed is a durable position in an outgoing stream of a journal. A Feed is for a single goroutine, except Passed,
// which another goroutine may call.
type Feed interface {
	// Next waits for events after the last returned event, and returns the oldest, at most limit. Next returns only
	// events that survive a power cut, because a sent event cannot be taken back. Next returns the error of ctx when ctx
	// ends, and ErrClosed when the journal is closed.
	Next(ctx context.Context, limit int) ([]*Event, error)
	// Passed records that all events up to seq have been sent. The journal stores the position with a later commit: after
	// a crash, Next returns some events again.
	Passed(seq int64)
	// Lag returns the number of events after the last one passed to Passed.
	Lag() int64
}

// The types of the events of FeedRecords.
const (
	// RecordsType has a JSON array of Records as payload. In version 2 each Record has all that the journal knows about
	// the delivery. In version 1, Retired, DeadError, AllAttempts and Acts are missing, and the fields of a dead letter
	// are set only with Dead.
	RecordsType = "bus.records"
	// DelayedType has a JSON array of Delayed as payload. Delayed events have a type of their own because an observer of
	// an older program refuses an array of Records with other entries.
	DelayedType = "bus.delayed"
)

// Record is the answer of a subscription to an event, at the time of sending. Of two Records, the later in the life of
// the delivery counts, and includes the content of the earlier.
type Record struct {
	EventID      string    `json:"event_id"`
	EventType    string    `json:"event_type"`
	Subscription string    `json:"subscription"`
	Outcome      Outcome   `json:"outcome"`
	Attempts     int       `json:"attempts"` // since the last replay
	Started      time.Time `json:"started"`
	DurationUS   int64     `json:"duration_us"`
	Error        string    `json:"error,omitempty"`
	RetryAt      time.Time `json:"retry_at,omitzero"`  // with Retrying
	Parked       bool      `json:"parked,omitempty"`   // with Dead: the key waits for a person
	Retired      bool      `json:"retired,omitempty"`  // the subscription is retired, and handles no more events
	Was          []string  `json:"was,omitempty"`      // earlier names of the subscription, the oldest first
	Rebuilds     int       `json:"rebuilds,omitempty"` // how often the subscription has begun again from the start

	// Set for a delivery that is or was dead:
	DeadError   string    `json:"dead_error,omitempty"` // the error of the last dead letter, unless equal to Error
	Stack       string    `json:"stack,omitempty"`      // of a panic
	AllAttempts int       `json:"all_attempts,omitempty"`
	FirstFailed time.Time `json:"first_failed,omitzero"`
	DeadAt      time.Time `json:"dead_at,omitzero"` // of the last dead letter
	Acts        []Act     `json:"acts,omitempty"`   // the newest acts, the oldest first
}

// Delayed is a stored event that the journal appends when due.
type Delayed struct {
	DelayedEvent
	CorrelationID string `json:"correlation_id"`
}
