package journal

import "context"

// Store is a Journal whose records can be read: what tests of a whole system, and tools, need beyond the bus's own seam.
type Store interface {
	Journal

	// Flows returns every flow on record, in the order in which they began.
	Flows(ctx context.Context) ([]*Flow, error)

	// Events calls fn with the events behind seq after, in the order of the log, until fn answers with an error, which it
	// returns.
	Events(ctx context.Context, after int64, fn func(*Event) error) error

	// DeadLetters returns what is dead.
	DeadLetters(ctx context.Context) ([]DeadLetter, error)

	// Check holds the records against the journal's own rules, and returns a line for everything that is wrong.
	Check(ctx context.Context) ([]string, error)

	// Trespasses says which modules reached for tables that are not theirs, a line each.
	Trespasses() []string

	// Image copies to path, which must not exist, what would be left if the process were killed at this instant.
	Image(ctx context.Context, path string) error

	// Replay gives the dead letters of a subscription another chance, which the next process takes up, and returns how
	// many there were.
	Replay(ctx context.Context, subscription string) (int, error)

	// Look has the store take up at once what others have written past it, and where the wall clock is (see WithClock). A store of a
	// process in use does so by itself, now and then.
	Look(ctx context.Context) error

	// Close stops the deliveries, finishes what is being written, and closes the store.
	Close() error
}
