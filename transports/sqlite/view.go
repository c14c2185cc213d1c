package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
)

// Health returns the reason why the journal cannot write, or nil: the last commit was refused, or one in the last three
// seconds was, or a write hangs. It writes nothing, never waits, and may be called at any time.
func (j *Journal) Health() error { return j.writer.Health(time.Now()) }

// Writable implements journal.Journal.
func (j *Journal) Writable(ctx context.Context) error { return j.writer.Writable(ctx) }

// Wait implements journal.Journal.
func (j *Journal) Wait(ctx context.Context, flow string) error {
	return reader.Wait(ctx, j.Reader(), flow)
}

// View implements journal.Journal.
func (j *Journal) View(ctx context.Context, run func(*sql.Tx) error) error {
	if err := j.writer.Broken(); err != nil { // the files may be another journal's
		return err
	}
	if err := file.View(ctx, j.views, run); err != nil {
		return err
	}
	return j.writer.Wait(ctx) // run may have seen a commit that is not durable yet
}
