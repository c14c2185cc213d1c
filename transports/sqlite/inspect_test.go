package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite"
)

func TestInTransaction(t *testing.T) {
	t.Parallel()
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }() // it was only read
	exec := func(ctx context.Context, tx *sql.Tx, query string) error {
		_, err := tx.ExecContext(ctx, query)
		return err
	}
	for name, c := range map[string]struct {
		do   func(ctx context.Context, tx *sql.Tx) error
		want bool
	}{
		"untouched": {func(context.Context, *sql.Tx) error { return nil }, true},
		"read":      {func(ctx context.Context, tx *sql.Tx) error { return exec(ctx, tx, "SELECT count(*) FROM events") }, true},
		"savepoint": {func(ctx context.Context, tx *sql.Tx) error { return exec(ctx, tx, "SAVEPOINT a") }, true},
		"Commit":    {func(_ context.Context, tx *sql.Tx) error { return tx.Commit() }, false},
		"Rollback":  {func(_ context.Context, tx *sql.Tx) error { return tx.Rollback() }, false},
		"COMMIT":    {func(ctx context.Context, tx *sql.Tx) error { _ = exec(ctx, tx, "COMMIT"); return nil }, true},
		"ROLLBACK":  {func(ctx context.Context, tx *sql.Tx) error { _ = exec(ctx, tx, "ROLLBACK"); return nil }, true},
	} {
		err := j.View(t.Context(), func(tx *sql.Tx) error {
			if err := c.do(t.Context(), tx); err != nil {
				return err
			}
			got, err := sqlite.InTransaction(t.Context(), tx)
			if got != c.want {
				t.Errorf("%s: in a transaction: %v, want %v", name, got, c.want)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err = j.View(t.Context(), func(tx *sql.Tx) error {
		_, err := sqlite.InTransaction(ended, tx)
		if err == nil {
			t.Error("a context that has ended is no error")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
