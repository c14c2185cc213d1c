package reader

import (
	"context"

	"github.com/troupebus/troupe/transports/sqlite/internal/check"
)

// Check tests the rules of a journal, and returns a line for each violation. A violation is a change by another
// program, or a fault of the disk or of this program. Check may run beside the owner. It reads the whole file, the log
// in parts, each in a transaction of its own.
func (r *Reader) Check(ctx context.Context) ([]string, error) {
	return r.CheckAloud(ctx, func(string, int64, int64) {})
}

// CheckAloud is Check with progress: the object of the check, and how much of it is done.
func (r *Reader) CheckAloud(ctx context.Context, progress func(what string, done, of int64)) ([]string, error) {
	return check.Run(ctx, r.View, Observes, progress)
}
