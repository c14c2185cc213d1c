package schema

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

// Files are the migrations of the journal's own tables.
//
//go:embed schema/*.sql
var Files embed.FS

// Journal is the name under which the table of migrations has the journal's own tables, beside the modules' tables.
const Journal = "journal"

// ErrNewer: the journal was written by a newer version of the program, or of a module, than this one.
var ErrNewer = errors.New("sqlite: journal from a newer version")

// errTorn: a journal has its tables in the database file before the first acknowledgement, so a file without tables is
// part of a copy.
var errTorn = errors.New("it is an SQLite database without any tables: if it was copied from a journal in use, its tables are in the " +
	"file beside that one (-wal): stop the program and copy both, or use `sqlite3 FILE '.backup COPY'`; otherwise remove it")

// ErrPart: the file was copied in use, without the log.
var ErrPart = errors.New("it is a copy of a journal that was in use, without the log that was beside it (-wal), so the newest events are missing: " +
	"stop the program and copy both files, or copy with `sqlite3 FILE '.backup COPY'`; to use this copy as it is: `sqlite3 COPY 'PRAGMA user_version = 0'`")

const createMigrations = `
CREATE TABLE IF NOT EXISTS migrations (
	module     TEXT    NOT NULL,
	name       TEXT    NOT NULL,
	checksum   TEXT    NOT NULL,
	applied_at INTEGER NOT NULL,
	PRIMARY KEY (module, name)
) STRICT`

// Applied has the checksums of the applied migrations, by module and name.
type Applied map[string]map[string]string

// Claimable refuses a file of another application, and a journal of a newer program, and writes nothing. making says
// that the file is new and may be empty.
func Claimable(ctx context.Context, c *sql.Conn, making bool) error {
	var id, made, ours int64
	err := c.QueryRowContext(ctx, `SELECT application_id, (SELECT count(*) FROM sqlite_schema),
(SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('migrations', 'events', 'deliveries'))
FROM pragma_application_id`).Scan(&id, &made, &ours)
	switch {
	case err != nil:
		return err
	case id != 0 && id != ApplicationID:
		return fmt.Errorf("it is an SQLite database of another application (id %#x): name another path", id)
	case made == 0 && !making:
		return errTorn
	case id == 0 && made > 0 && ours < 3: // a dump of a journal has its tables, but no id
		return fmt.Errorf("it is an SQLite database of another application (tables and indexes: %d): name another path", made)
	case id == 0:
		return nil
	}
	applied, err := appliedMigrations(ctx, c)
	if err == nil {
		_, err = applied.Todo(Journal, Files)
	}
	return err
}

// Claim makes a new file a journal without tables. Claim returns the applied migrations.
func Claim(ctx context.Context, c *sql.Conn) (Applied, error) {
	var id int64
	err := c.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id)
	if err == nil && id == 0 {
		_, err = c.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", ApplicationID))
	}
	if err != nil {
		return nil, err
	}
	if _, err := c.ExecContext(ctx, createMigrations); err != nil {
		return nil, err
	}
	return appliedMigrations(ctx, c)
}

// Note adds a migration to the applied ones.
func (m Applied) Note(one migration) {
	if m[one.module] == nil {
		m[one.module] = map[string]string{}
	}
	m[one.module][one.name] = one.checksum
}

// Todo returns the files of fsys that module has not applied yet, sorted by name. On an error the program must not
// apply any. An applied name that is missing in fsys comes from a newer program.
func (m Applied) Todo(module string, fsys fs.FS) (todo []migration, err error) {
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
			return nil, fmt.Errorf("migration %s of %s has %s: each file is one transaction, which the journal begins and commits; leave it out, and use a file for each transaction", name, module, word)
		case !done:
			todo = append(todo, one)
		}
	}
	return todo, nil
}

// appliedMigrations returns the applied migrations: none in a journal whose first start ended before the table existed.
func appliedMigrations(ctx context.Context, c *sql.Conn) (Applied, error) {
	var begun int
	err := c.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'").Scan(&begun)
	if err != nil || begun == 0 {
		return Applied{}, err
	}
	rows, err := c.QueryContext(ctx, "SELECT module, name, checksum FROM migrations")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	applied := Applied{}
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

// migration is a file of a module. Text and checksum have LF as line end, so a checkout with CRLF is the same file.
type migration struct{ module, name, checksum, text string }

func newMigration(module, name string, data []byte) migration {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	return migration{module, name, checksumOf(text), text}
}

func checksumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// is reports whether checksum is of this file. Programs that were built with CRLF once noted the checksum of the CRLF
// text.
func (m migration) is(checksum string) bool {
	return checksum == m.checksum || checksum == checksumOf(strings.ReplaceAll(m.text, "\n", "\r\n"))
}

const insertMigration = "INSERT INTO migrations (module, name, checksum, applied_at) VALUES (?, ?, ?, ?)"

// Guard runs the text of a migration with the limits of work. own says that the migration is one of the journal itself.
type Guard func(own bool, run func() error) error

// Run applies m in tx, and records m there.
func (m migration) Run(ctx context.Context, tx *sql.Tx, guarded Guard) error {
	others, err := m.others(ctx, tx)
	if err == nil {
		err = guarded(m.module == Journal, func() error {
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

// nothingTemporary returns an error when something temporary is left on the connection.
func nothingTemporary(ctx context.Context, tx *sql.Tx) error {
	var left string
	switch err := tx.QueryRowContext(ctx, "SELECT type || ' ' || name FROM temp.sqlite_schema LIMIT 1").Scan(&left); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("it leaves the temporary %s behind, which would last for all other work on the connection: "+
		"let the migration drop it", left)
}

// Try reports whether module could be migrated, and applies nothing: an insert that records a migration is refused
// here, too.
func (m Applied) Try(ctx context.Context, tx *sql.Tx, module string, fsys fs.FS) error {
	todo, err := m.Todo(module, fsys)
	if err != nil || len(todo) == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, insertMigration, module, todo[0].name, todo[0].checksum, 0)
	return err
}

// ApplicationID marks the file as a Troupe journal ("Trpe"), in the header field of SQLite for applications.
const ApplicationID = 0x54727065

// Check returns an error unless db is a journal with the schema of this program.
func Check(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	var id int64
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id != ApplicationID {
		return fmt.Errorf("it is not a journal (application id %#x where %#x is expected): name another path", id, ApplicationID)
	}
	all, err := appliedMigrations(ctx, conn)
	if err != nil {
		return err
	}
	applied := all[Journal]
	known, err := fs.Glob(Files, "schema/*.sql")
	if err != nil {
		return err
	}
	for _, name := range known {
		if _, ok := applied[name]; !ok {
			return fmt.Errorf("it lacks %s: let this version of the program run on it once", name)
		}
		delete(applied, name)
	}
	for name := range applied {
		return fmt.Errorf("%w: it has %s, which this program does not know: use the newer program", ErrNewer, name)
	}
	return nil
}
