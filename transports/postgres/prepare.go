package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// prepare makes sure that a topic's tables exist and have the right columns, once for a Transport.
func (t *Transport) prepare(ctx context.Context, topic string) error {
	if topic == "" || !topics.MatchString(topic) {
		return permanentf("topic %q: want letters, digits and any of $:._-", topic)
	}
	t.mu.Lock()
	done, changed := t.prepared[topic], t.changed
	t.mu.Unlock()
	if done || changed != nil {
		return changed
	}
	if _, err := t.identify(ctx); err != nil {
		return err
	}
	tb := t.tables(topic)
	found, err := t.inspectTables(ctx, tb)
	switch {
	case err == nil && found.missing:
		err = t.create(ctx, topic)
		found = layout{owned: true, marked: true}
	case err == nil && !(found.owned && found.marked) && !t.config.NoCreate: // tables of an older program
		if t.create(ctx, topic) == nil { // without the columns, positions are deleted later, and Subscribe warns
			found = layout{owned: true, marked: true}
		}
	}
	if err == nil {
		err = t.renumberRestored(ctx, tb, found.marked)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prepared[topic], t.layouts[topic] = true, found
	if t.config.Retention >= 0 && !t.pruning {
		t.pruning = true
		t.running.Go(t.pruneAll)
	}
	if !t.watching {
		t.watching = true
		t.running.Go(t.watch)
	}
	return nil
}

// forget makes the next use of a topic check the tables again: the server may be another one.
func (t *Transport) forget(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.prepared, topic)
}

const selectColumns = `
SELECT c.relname, a.attname, a.atttypid::regtype::text
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.oid IN (to_regclass($1), to_regclass($2)) AND a.attnum > 0 AND NOT a.attisdropped`

// layout describes the tables of a topic.
type layout struct {
	missing bool // a table is missing
	owned   bool // positions have a column for the deployable
	marked  bool // positions have a column for the mark
}

// inspectTables returns the layout of the tables, and an error for tables of another program.
func (t *Transport) inspectTables(ctx context.Context, tb tables) (layout, error) {
	found := map[string]map[string]string{tb.messages: {}, tb.offsets: {}}
	rows, err := t.db.QueryContext(ctx, selectColumns, quoted(tb.messages), quoted(tb.offsets))
	if err != nil {
		return layout{}, err
	}
	defer rows.Close() // rows.Err has the error
	for rows.Next() {
		var table, column, kind string
		if err := rows.Scan(&table, &column, &kind); err != nil {
			return layout{}, err
		}
		found[table][column] = kind
	}
	if err := rows.Err(); err != nil {
		return layout{}, err
	}
	if m := found[tb.messages]; len(m) > 0 && (m["payload"] != "bytea" || m["transaction_id"] != "xid8" || m["key"] == "") {
		return layout{}, permanentf("table %q was made by another program: it needs the columns payload bytea, transaction_id xid8 and key text;"+
			" alter it, or set another Prefix", tb.messages)
	}
	offsets := found[tb.offsets]
	return layout{len(found[tb.messages]) == 0 || len(offsets) == 0, offsets[ownerColumn] != "", offsets[markColumn] != ""}, nil
}

// create creates the tables. A lock makes processes take turns, because concurrent CREATE TABLE IF NOT EXISTS fails.
func (t *Transport) create(ctx context.Context, topic string) error {
	all := statements(t.config.Prefix, topic)
	if t.config.NoCreate {
		return permanentf("the tables of topic %s are missing, and NoCreate is set: create them with: %s", topic, strings.Join(all, "; "))
	}
	err := t.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockOf("create", t.config.Prefix, topic)); err != nil {
			return err
		}
		for _, q := range all {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if stateOf(err) == insufficientPrivilege {
		return permanentf("%w: the role may not create tables: GRANT it CREATE on the schema, or set NoCreate and create the tables with: %s",
			err, strings.Join(all, "; "))
	}
	return err
}

// selectAhead finds transaction numbers that this server has not assigned yet.
const selectAhead = `
SELECT EXISTS (SELECT FROM %[1]s WHERE transaction_id >= pg_snapshot_xmax(pg_current_snapshot()))
	OR EXISTS (SELECT FROM %[2]s WHERE last_processed_transaction_id >= pg_snapshot_xmax(pg_current_snapshot()))`

// renumber puts all messages into a single transaction, with a number that servers never assign: 0 or 1, whichever is
// free. The offsets begin at 2. The positions are adjusted: 1 is before the first message, and 0 before deleted
// messages, for a position that was before them. The row of noGroup stays as it is when nothing was deleted.
const renumber = `
WITH target AS (SELECT CASE WHEN EXISTS (SELECT FROM %[1]s WHERE transaction_id = '0') THEN '1' ELSE '0' END::xid8 AS id),
moved AS (
	UPDATE %[2]s o SET last_processed_transaction_id = target.id, offset_acked =
		(SELECT count(*) FROM %[1]s m WHERE (m.transaction_id, m."offset") <= (o.last_processed_transaction_id, o.offset_acked)) +
		CASE WHEN (o.last_processed_transaction_id, o.offset_acked) <
			(SELECT last_processed_transaction_id, offset_acked FROM %[2]s WHERE consumer_group = '') THEN 0 ELSE 1 END
	FROM target WHERE consumer_group <> '' OR (last_processed_transaction_id, offset_acked) > ('0', 0)),
ranked AS (
	SELECT transaction_id, "offset", row_number() OVER (ORDER BY transaction_id, "offset") AS rank FROM %[1]s)
UPDATE %[1]s m SET transaction_id = target.id, "offset" = ranked.rank + 1
FROM ranked, target WHERE (m.transaction_id, m."offset") = (ranked.transaction_id, ranked."offset")`

// noteNumbering stores a new id for the numbering. Positions in journals are not adjusted, and the id prevents their
// use in the new numbering. It is in the row of noGroup; a new row says that nothing was deleted.
const noteNumbering = `
INSERT INTO %[1]s (consumer_group, offset_acked, last_processed_transaction_id, ` + markColumn + `) VALUES ('', 0, '0', gen_random_uuid()::text)
ON CONFLICT (consumer_group) DO UPDATE SET ` + markColumn + ` = excluded.` + markColumn

// renumberRestored numbers the messages of a restored dump again. Otherwise, readers would not see the messages before
// the server has assigned these numbers, and a group that has acknowledged such a message would not see new messages.
func (t *Transport) renumberRestored(ctx context.Context, tb tables, marked bool) error {
	messages, offsets := quoted(tb.messages), quoted(tb.offsets)
	restored := false
	query := fmt.Sprintf(selectAhead, messages, offsets)
	if err := t.db.QueryRowContext(ctx, query).Scan(&restored); err != nil || !restored {
		return err
	}
	err := t.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `LOCK TABLE `+messages+`, `+offsets+` IN EXCLUSIVE MODE`); err != nil {
			return err
		}
		// Another process may have renumbered the messages meanwhile.
		if err := tx.QueryRowContext(ctx, query).Scan(&restored); err != nil || !restored {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf(renumber, messages, offsets))
		if err == nil && marked {
			_, err = tx.ExecContext(ctx, fmt.Sprintf(noteNumbering, offsets))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("number the messages of a restored dump again: %w", err)
	}
	t.config.Logger.Warn("postgres: numbered the messages of a restored dump again", slog.String("topic", tb.topic))
	return nil
}

// inTx runs fn in a transaction. Each statement of fn sees all earlier commits.
func (t *Transport) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := t.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			return errors.Join(err, undo)
		}
		return err
	}
	return tx.Commit()
}
