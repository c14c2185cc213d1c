package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/crossing"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
)

// What commands ask of a journal is in package internal/reader. These are its types and functions that are part of
// the API.
type (
	// Reader reads a journal, also one that another process owns and writes: Events, Flow, Explain, DeadLetters, Stats,
	// Check and View. A reader waits for no lock and changes nothing. All methods are safe for concurrent use; each sees
	// the journal at one instant.
	Reader = reader.Reader

	// EventFilter says which events are wanted. The zero value is all of them.
	EventFilter = reader.EventFilter

	// DeadLetterFilter says which dead letters are wanted. The zero value is all of them.
	DeadLetterFilter = reader.DeadLetterFilter

	// Cause is a reason for which one subscription has dead letters.
	Cause = reader.Cause

	// Stats counts the events, deliveries and dead letters of a journal.
	Stats = reader.Stats

	// SubscriptionStats is a subscription of a bus, or a consumer group of plain Watermill use, with its cursor and lag.
	SubscriptionStats = reader.SubscriptionStats

	// Sent is an event of one journal.
	Sent = crossing.Sent

	// Crossing says which events go from one journal to another: those of some modules, and of some types.
	Crossing = crossing.Crossing
)

// Observes reports whether the journal that tx, of a View, reads is an observer's.
func Observes(ctx context.Context, tx *sql.Tx) (bool, error) { return reader.Observes(ctx, tx) }

// Gaps returns the gaps in the topics of the observer whose journal tx, of a View, reads, unless a person has dropped
// the dead letter of the gap. With a gap the observer may lack events of the system.
func Gaps(ctx context.Context, tx *sql.Tx) ([]string, error) { return reader.Gaps(ctx, tx) }

// Early counts the records in an observer's journal whose events have not come. Recent ones are of answers given at
// before or later: their events are in transit. The events of old ones may be lost, or were never sent: they are older
// than the second deployable of the system.
func Early(ctx context.Context, tx *sql.Tx, before time.Time) (recent, old int64, err error) {
	return reader.Early(ctx, tx, before)
}

// EachDelayed calls fn with every delayed event that tx, of a View, sees. EachDelayed returns an error of fn unchanged.
func EachDelayed(ctx context.Context, tx *sql.Tx, fn func(journal.Delayed) error) error {
	return reader.EachDelayed(ctx, tx, fn)
}

// Settled reports whether nothing is open in the journal that tx, of a View, reads: no live subscription waits for an
// event, no event is delayed, and no delivery is retrying, blocked or parked.
func Settled(ctx context.Context, tx *sql.Tx) (bool, error) { return reader.Settled(ctx, tx) }

// Unarrived returns the events of the modules c.Sources in the journal of from that are missing in the journal of to,
// although to consumes c.Types. Both transactions are of a View. Events older than the first of their
// type in to do not count: to began to consume the type then.
func Unarrived(ctx context.Context, from, to *sql.Tx, c Crossing) ([]Sent, error) {
	return crossing.Unarrived(ctx, from, to, c)
}

// Unknown returns the events of the modules called sources that the journal of to has and the journal of from, on which
// the modules run, has not: from is seen earlier than to, or is an old copy. Both transactions are of a View. Events
// from before the modules moved to that journal do not count.
func Unknown(ctx context.Context, from, to *sql.Tx, sources []string) ([]Sent, error) {
	return crossing.Unknown(ctx, from, to, sources)
}
