package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/troupebus/troupe/internal/pause"
)

// The database has an identity: a table with a single row, which is created with the first topic. A dump contains the
// row, but not the ids of the table, of the database, and of the transaction that wrote the row. So tables that were
// restored from a dump, or created again, have another identity than before, and lack the messages that were published
// since the dump.

// identityTable returns the name of the table of the identity. No topic's table can have this name.
func identityTable(prefix string) string { return prefix + "_identity" }

func identityStatements(prefix string) []string {
	table := quoted(identityTable(prefix))
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + table + ` (one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one), id TEXT NOT NULL)`,
		`INSERT INTO ` + table + ` (id) VALUES (gen_random_uuid()::text) ON CONFLICT DO NOTHING`,
	}
}

const selectIdentity = `
SELECT concat_ws(' ', id, tableoid, xmin, (SELECT oid FROM pg_database WHERE datname = current_database())) FROM `

// readIdentity returns the identity, or "" if there is none.
func (t *Transport) readIdentity(ctx context.Context) (string, error) {
	var text string
	err := t.db.QueryRowContext(ctx, selectIdentity+quoted(identityTable(t.config.Prefix))).Scan(&text)
	switch {
	case errors.Is(err, sql.ErrNoRows), stateOf(err) == undefinedTable:
		return "", nil
	case err != nil:
		return "", err
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8]), nil
}

// identify returns the identity, and an error if it is not the same as before. The first time, it accepts any identity,
// and creates a missing one.
func (t *Transport) identify(ctx context.Context) (string, error) {
	id, err := t.readIdentity(ctx)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	known := t.identity
	t.mu.Unlock()
	if id == "" && known == "" {
		if err := t.makeIdentity(ctx); err != nil {
			return "", err
		}
		if id, err = t.readIdentity(ctx); err != nil {
			return "", err
		}
	}
	return id, t.recognize(id)
}

// recognize notes the first identity, and returns an error for any other, for the rest of the process.
func (t *Transport) recognize(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.identity == "" {
		t.identity = id
	}
	if t.identity != id && t.changed == nil {
		t.changed = permanentf("the tables %s_* of database %s are not the ones that this process started with: they were restored from a dump, or made anew,"+
			" and lack later messages: when the restore is complete, restart every deployable, which then sends all of its events again",
			t.config.Prefix, t.connect.Database)
		t.lose()
	}
	return t.changed
}

// changedErr returns an error when the database is not the same as at the start of the process.
func (t *Transport) changedErr() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// selectOtherSchemas finds schemas other than ours with tables of the prefix, and whether ours has any.
const selectOtherSchemas = `
SELECT coalesce(current_schema(), ''), coalesce(bool_or(n.nspname = current_schema()), false),
	coalesce(string_agg(DISTINCT n.nspname, ', ') FILTER (WHERE n.nspname <> current_schema()), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\_%'
	AND (c.relname = $1 OR starts_with(c.relname, $2) AND c.relname LIKE '%\_messages')`

// makeIdentity creates the identity, unless Config.NoCreate is set. It refuses when another schema has tables of the
// prefix and the URL names no schema, because a second system may or may not be intended.
func (t *Transport) makeIdentity(ctx context.Context) error {
	if t.config.NoCreate {
		return nil
	}
	err := t.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockOf("identity", t.config.Prefix)); err != nil {
			return err
		}
		var schema, others string
		var exists bool
		err := tx.QueryRowContext(ctx, selectOtherSchemas, identityTable(t.config.Prefix), t.config.Prefix+"_").Scan(&schema, &exists, &others)
		if err != nil {
			return err
		}
		if others != "" && !exists && !t.namesSchema() {
			return permanentf("schema %s of database %s has no tables %s_*, but schema %s has: name the schema in the URL, with search_path=%s"+
				" to join that system, or search_path=%s to begin another system",
				schema, t.connect.Database, t.config.Prefix, others, strings.Split(others, ",")[0], schema)
		}
		for _, q := range identityStatements(t.config.Prefix) {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if stateOf(err) == insufficientPrivilege { // create reports missing rights, too, where tables are missing
		t.config.Logger.Warn("postgres: the database has no identity, and this role may not create its table:"+
			" a restore of the database from a dump would not be noticed",
			slog.String("statements", strings.Join(identityStatements(t.config.Prefix), "; ")))
		return nil
	}
	return err
}

// namesSchema reports whether the URL names the schema of the tables.
func (t *Transport) namesSchema() bool {
	return t.connect.RuntimeParams["search_path"] != "" || strings.Contains(t.connect.RuntimeParams["options"], "search_path")
}

// watch checks the identity now and then, until Close, because a restore need not break a connection.
func (t *Transport) watch() {
	for pause.For(t.ctx, t.config.Poll) {
		id, err := t.readIdentity(t.ctx)
		if err != nil {
			continue // readers and publishers report the error
		}
		if err := t.recognize(id); err != nil {
			t.config.Logger.Error("postgres: " + err.Error())
			return
		}
	}
}

// Identity returns the identity of the database for wire.Features, or "" when it is unknown now.
func (t *Transport) Identity(ctx context.Context) string {
	id, err := t.identify(ctx)
	if err != nil {
		t.config.Logger.Warn("postgres: cannot identify the database", slog.Any("error", t.explain("read the identity of the database", err)))
		return ""
	}
	return id
}

// backend names the tables by the settings alone.
func (t *Transport) backend() string {
	return fmt.Sprintf("postgres, tables %s* of database %s", t.config.Prefix, t.connect.Database)
}
