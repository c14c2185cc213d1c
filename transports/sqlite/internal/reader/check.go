package reader

import (
	"context"
	"database/sql"
	"errors"

	"github.com/troupebus/troupe/transports/sqlite/internal/check"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

// Check tests the rules of a journal, and returns a line for each violation. A violation is a change by another
// program, or a fault of the disk or of this program. Check may run beside the owner. It reads the whole file, the log
// in parts, each in a transaction of its own.
func (r *Reader) Check(ctx context.Context) ([]string, error) {
	return r.CheckAloud(ctx, func(string, int64, int64) {})
}

// CheckAloud is Check with progress: the object of the check, and how much of it is done.
func (r *Reader) CheckAloud(ctx context.Context, progress func(what string, done, of int64)) ([]string, error) {
	wrong, err := check.Run(ctx, r.View, Observes, progress)
	if err != nil {
		return wrong, err
	}
	if torn := r.Whole(ctx); errors.Is(torn, schema.ErrPart) {
		wrong = append(wrong, torn.Error())
	} else if torn != nil {
		return wrong, torn
	}
	return wrong, nil
}

// Whole returns an error when the newest events are missing: the file was copied in use, without the log.
func (r *Reader) Whole(ctx context.Context) error {
	return r.View(ctx, func(tx *sql.Tx) error { return file.CheckWhole(ctx, tx, r.path) })
}
