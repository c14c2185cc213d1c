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
	"maps"
	"slices"
	"strings"
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

// claimable refuses a file that belongs to something else. It writes nothing. making says that the file has no tables because nobody
// has made them yet.
func claimable(ctx context.Context, c *sql.Conn, making bool) error {
	var id, made int64
	err := c.QueryRowContext(ctx, "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id").Scan(&id, &made)
	switch {
	case err != nil:
		return err
	case id != 0 && id != applicationID:
		return fmt.Errorf("it is an SQLite database of another application (id %#x): name another path", id)
	case made == 0 && !making:
		return errTorn
	}
	return nil
}

// claim makes a fresh file a journal without tables, and refuses one that is from a newer program. It returns what is applied.
func claim(ctx context.Context, c *sql.Conn) (migrations, error) {
	var id int64
	err := c.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id)
	if err == nil && id == 0 {
		_, err = c.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	}
	if err != nil {
		return nil, err
	}
	if _, err := c.ExecContext(ctx, createMigrations); err != nil {
		return nil, err
	}
	applied, err := appliedMigrations(ctx, c)
	if err != nil {
		return nil, err
	}
	_, err = applied.todo(journalSchema, schemaFS)
	return applied, err
}

// migrate applies the files of fsys that module has not applied yet, one transaction a file.
func (m migrations) migrate(ctx context.Context, c *sql.Conn, module string, fsys fs.FS) error {
	todo, err := m.todo(module, fsys)
	if err != nil {
		return err
	}
	for _, one := range todo {
		err := inTransaction(ctx, c, func(tx *sql.Tx, own *fence) error { return one.run(ctx, tx, own) })
		if err != nil {
			return err
		}
		m.note(one)
	}
	return nil
}

// note notes that one is applied.
func (m migrations) note(one migration) {
	if m[one.module] == nil {
		m[one.module] = map[string]string{}
	}
	m[one.module][one.name] = one.checksum
}

// todo are the files of fsys that module has not applied yet, in the order of their names. An error means that the program must
// apply none: a name that is applied but not in fsys says that a newer one was here.
func (m migrations) todo(module string, fsys fs.FS) (todo []migration, err error) {
	names, err := fs.Glob(fsys, "*.sql")
	if err == nil && len(names) == 0 {
		names, err = fs.Glob(fsys, "*/*.sql")
	}
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(m[module])) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%w: it has %s of %s, which this program does not know: use the newer program", ErrNewer, name, module)
		}
	}
	for _, name := range names { // Glob sorts
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		one := newMigration(module, name, data)
		was, done := m[module][name]
		word := ""
		if !done {
			word = ownTransaction(one.text)
		}
		switch {
		case done && !one.is(was):
			return nil, fmt.Errorf("migration %s of %s was changed after it was applied: undo the change, and put it into a new file", name, module)
		case word != "":
			return nil, fmt.Errorf("migration %s of %s has %s: each file is one transaction, which the journal begins and commits; leave it out, and use a file each for what must be apart", name, module, word)
		case !done:
			todo = append(todo, one)
		}
	}
	return todo, nil
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

// migration is a file that is, or is to be, applied. Its text has the line end LF, and so has what its checksum is of: how a file was
// checked out changes nothing.
type migration struct{ module, name, checksum, text string }

func newMigration(module, name string, data []byte) migration {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	return migration{module, name, checksumOf(text), text}
}

func checksumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// is reports whether checksum is of that file. Programs that were built with CRLF noted that of CRLF, once.
func (m migration) is(checksum string) bool {
	return checksum == m.checksum || checksum == checksumOf(strings.ReplaceAll(m.text, "\n", "\r\n"))
}

const insertMigration = "INSERT INTO migrations (module, name, checksum, applied_at) VALUES (?, ?, ?, ?)"

// run applies m in tx, and notes it there.
func (m migration) run(ctx context.Context, tx *sql.Tx, own *fence) error {
	others, err := m.others(ctx, tx)
	if err == nil {
		err = own.migration(m.module == journalSchema, func() error {
			_, err := tx.ExecContext(ctx, m.text)
			return err
		})
	}
	if err == nil {
		err = errors.Join(nothingTemporary(ctx, tx), m.stays(ctx, tx, others))
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, insertMigration, m.module, m.name, m.checksum, time.Now().UnixMicro())
	}
	if err != nil {
		return fmt.Errorf("migration %s of %s: %w", m.name, m.module, err)
	}
	return nil
}

// nothingTemporary is an error when something temporary is left on the connection.
func nothingTemporary(ctx context.Context, tx *sql.Tx) error {
	var left string
	switch err := tx.QueryRowContext(ctx, "SELECT type || ' ' || name FROM temp.sqlite_schema LIMIT 1").Scan(&left); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("it leaves the temporary %s behind, which would last for everybody who writes through this connection: "+
		"let the migration drop it", left)
}

// inTransaction runs do in a transaction on the write connection, with the fence that stands around work there.
func inTransaction(ctx context.Context, c *sql.Conn, do func(tx *sql.Tx, own *fence) error) error {
	var own *fence
	err := c.Raw(func(f any) error {
		own = f.(*face).fence
		return nil
	})
	if err != nil {
		return err
	}
	tx, err := begin(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if err := do(tx, own); err != nil {
		return err
	}
	return tx.Commit()
}

// begin begins a transaction on the writer's connection. Statements in it may end with ctx, the transaction does not: database/sql
// would throw the connection away, which the writer goes on with.
func begin(ctx context.Context, c *sql.Conn) (*sql.Tx, error) {
	return c.BeginTx(context.WithoutCancel(ctx), nil)
}
