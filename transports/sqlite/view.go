package sqlite

import (
	"context"
	"database/sql"

	"github.com/troupebus/troupe/transports/sqlite/internal/file"
)

// View implements journal.Journal.
func (j *Journal) View(ctx context.Context, run func(*sql.Tx) error) error {
	if err := j.sync.health(); err != nil { // the files may be another journal's
		return err
	}
	if err := file.View(ctx, j.views, run); err != nil {
		return err
	}
	return j.sync.wait(ctx) // run may have seen a commit that is not durable yet
}
