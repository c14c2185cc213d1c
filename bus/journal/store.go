package journal

import "context"

// Store is a Journal whose records can be read: what tests of a whole system, and tools, need beyond the bus's own seam.
type Store interface {
	Journal

	// Flows returns every flow on record, in the order in which they began.
	Flows(ctx context.Context) ([]*Flow, error)

	// Check holds the records against the journal's own rules, and the modules against theirs, and returns a line for
	// everything that is wrong.
	Check(ctx context.Context) ([]string, error)

	// Image copies to path, which must not exist, what would be left if the process were killed at this instant.
	Image(ctx context.Context, path string) error

	// Close stops the deliveries, finishes what is being written, and closes the store.
	Close() error
}
