package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// journalSchema is the name that the journal's own tables have among the modules' in the table of migrations.
const journalSchema = "journal"

// ErrNewer: the journal was written by a newer version of the program, or of a module, than this one.
var ErrNewer = errors.New("sqlite: journal from a newer version")

// errTorn: a journal has its tables in the database file before it acknowledges anything, so a file without them is a part of one.
var errTorn = errors.New("it is an SQLite database without any tables: if it was copied from a journal in use, what it lacks is in the " +
	"file beside that one (-wal): stop the program and copy both, or use `sqlite3 FILE '.backup COPY'`; otherwise remove it")

const createMigrations = `
CREATE TABLE IF NOT EXISTS migrations (
	module     TEXT    NOT NULL,
	name       TEXT    NOT NULL,
	checksum   TEXT    NOT NULL,
	applied_at INTEGER NOT NULL,
	PRIMARY KEY (module, name)
) STRICT`

// migrations are the checksums of what was applied, by module and name.
type migrations map[string]map[string]string

// claim makes a fresh file a journal, and refuses a file that belongs to something else. It returns what is applied. making
// says that the file has no tables because nobody has made them yet.
func claim(ctx context.Context, c *sql.Conn, making bool) (migrations, error) {
	var id, tables int64
	err := c.QueryRowContext(ctx, "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id").Scan(&id, &tables)
	if err != nil {
		return nil, err
	}
	switch {
	case id != 0 && id != applicationID:
		return nil, fmt.Errorf("it is an SQLite database of another application (id %#x): name another path", id)
	case tables == 0 && !making:
		return nil, errTorn
	case id == 0:
		if _, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return nil, err
		}
	}
	if _, err := c.ExecContext(ctx, createMigrations); err != nil {
		return nil, err
	}
	applied, err := appliedMigrations(ctx, c)
	if err != nil {
		return nil, err
	}
	return applied, applied.migrate(ctx, c, journalSchema, schemaFS)
}

// migrate applies the files of fsys that module has not applied yet, one transaction a file. A name that is applied but
// not in fsys means that a newer program was here.
func (m migrations) migrate(ctx context.Context, c *sql.Conn, module string, fsys fs.FS) error {
	names, err := fs.Glob(fsys, "*.sql")
	if err == nil && len(names) == 0 {
		names, err = fs.Glob(fsys, "*/*.sql")
	}
	if err != nil {
		return err
	}
	applied := m[module]
	if applied == nil {
		applied = map[string]string{}
		m[module] = applied
	}
	for _, name := range names { // Glob sorts
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		checksum := hex.EncodeToString(sum[:8])
		was, done := applied[name]
		switch {
		case done && was != checksum:
			return fmt.Errorf("migration %s of %s was changed after it was applied: undo the change, and put it into a new file", name, module)
		case done:
			continue
		}
		if err := applyMigration(ctx, c, migration{module, name, checksum, string(text)}); err != nil {
			return fmt.Errorf("migration %s of %s: %w", name, module, err)
		}
		applied[name] = checksum
	}
	for name := range applied {
		if slices.Contains(names, name) {
			continue
		}
		return fmt.Errorf("%w: it has %s of %s, which this program does not know: use the newer program", ErrNewer, name, module)
	}
	return nil
}

func appliedMigrations(ctx context.Context, c *sql.Conn) (migrations, error) {
	rows, err := c.QueryContext(ctx, "SELECT module, name, checksum FROM migrations")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	applied := migrations{}
	for rows.Next() {
		var module, name, checksum string
		if err := rows.Scan(&module, &name, &checksum); err != nil {
			return nil, err
		}
		if applied[module] == nil {
			applied[module] = map[string]string{}
		}
		applied[module][name] = checksum
	}
	return applied, rows.Err()
}

type migration struct{ module, name, checksum, text string }

func applyMigration(ctx context.Context, c *sql.Conn, m migration) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO migrations (module, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
		m.module, m.name, m.checksum, time.Now().UnixMicro())
	if err != nil {
		return err
	}
	return tx.Commit()
}
