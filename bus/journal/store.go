package journal

import "context"

// Store is a Journal with readable records, for tests of a whole system and for tools.
type Store interface {
	Journal

	// Flows returns all recorded flows, in the order of their beginnings.
	Flows(ctx context.Context) ([]*Flow, error)

	// Events calls fn with each event after the seq after, in the order of the log, until fn returns an error, which
	// Events returns.
	Events(ctx context.Context, after int64, fn func(*Event) error) error

	// DeadLetters returns the dead letters with LetterDead.
	DeadLetters(ctx context.Context) ([]DeadLetter, error)

	// Check checks the records against the rules of the journal, and returns a line for each violation.
	Check(ctx context.Context) ([]string, error)

	// Trespasses returns a line for each module that used tables of another module.
	Trespasses() []string

	// Image copies the journal to path as if the process were killed now. path must not exist.
	Image(ctx context.Context, path string) error

	// Replay marks the dead letters of a subscription for another attempt by the next process, and returns their number.
	Replay(ctx context.Context, subscription string) (int, error)

	// Look makes the store notice the commits of other processes and the present wall clock at once (see WithClock). A
	// store in use does so by itself from time to time.
	Look(ctx context.Context) error

	// Close stops the deliveries, finishes running commits, and closes the store.
	Close() error
}
