package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// prepare sees to it that a topic's tables are there and fit, once for a Transport.
func (t *Transport) prepare(ctx context.Context, topic string) error {
	if topic == "" || !topics.MatchString(topic) {
		return refuse("topic %q: want letters, digits and any of $:._-", topic)
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
	found, err := t.look(ctx, tb)
	switch {
	case err == nil && found.missing:
		err = t.create(ctx, topic)
		found = layout{owned: true, marked: true}
	case err == nil && !(found.owned && found.marked) && !t.config.NoCreate: // tables of an earlier program
		if t.create(ctx, topic) == nil { // otherwise places are given up later, and Subscribe warns of what it does not notice
			found = layout{owned: true, marked: true}
		}
	}
	if err == nil {
		err = t.adopt(ctx, tb, found.marked)
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

// forget has the next use of a topic look at its tables again: the server may be another one.
func (t *Transport) forget(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.prepared, topic)
}

const selectColumns = `
SELECT c.relname, a.attname, a.atttypid::regtype::text
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.oid IN (to_regclass($1), to_regclass($2)) AND a.attnum > 0 AND NOT a.attisdropped`

// layout is what there is of the tables of a topic.
type layout struct {
	missing bool // one of them is
	owned   bool // places say which deployable has them
	marked  bool // places say which process wrote them
}

// look finds out what there is of the tables. A table that does not fit is an error.
func (t *Transport) look(ctx context.Context, tb tables) (layout, error) {
	found := map[string]map[string]string{tb.messages: {}, tb.offsets: {}}
	rows, err := t.db.QueryContext(ctx, selectColumns, quoted(tb.messages), quoted(tb.offsets))
	if err != nil {
		return layout{}, err
	}
	defer rows.Close() // rows.Err says what went wrong
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
		return layout{}, refuse("table %q was made by another program: it needs the columns payload bytea, transaction_id xid8 and key text;"+
			" alter it, or set another Prefix", tb.messages)
	}
	offsets := found[tb.offsets]
	return layout{len(found[tb.messages]) == 0 || len(offsets) == 0, offsets[ownerColumn] != "", offsets[markColumn] != ""}, nil
}

// create makes the tables. CREATE TABLE IF NOT EXISTS fails when two do it at once, so they take turns.
func (t *Transport) create(ctx context.Context, topic string) error {
	all := statements(t.config.Prefix, topic)
	if t.config.NoCreate {
		return refuse("the tables of topic %s are missing, and NoCreate is set: have them made with: %s", topic, strings.Join(all, "; "))
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
		return refuse("%w: the role may not create tables: GRANT it CREATE on the schema, or set NoCreate and have them made with: %s",
			err, strings.Join(all, "; "))
	}
	return err
}

// ahead tells whether there are numbers of transactions that this server has not given out.
const ahead = `
SELECT EXISTS (SELECT FROM %[1]s WHERE transaction_id >= pg_snapshot_xmax(pg_current_snapshot()))
	OR EXISTS (SELECT FROM %[2]s WHERE last_processed_transaction_id >= pg_snapshot_xmax(pg_current_snapshot()))`

// renumber makes all messages those of one transaction, of a number that servers never give out, 0 or 1: the one that is free.
// Their offsets begin at 2. The places move along: 1 is before the first message, and 0 before what was deleted, if the place was. The row
// of noGroup stays where it is when nothing was deleted.
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

// noteNumbering makes the numbering another one, so that nobody takes a place of the former one for one of this: places in journals do not
// move along. It is in the row of noGroup, which says, if it is new, that nothing was deleted.
const noteNumbering = `
INSERT INTO %[1]s (consumer_group, offset_acked, last_processed_transaction_id, ` + markColumn + `) VALUES ('', 0, '0', gen_random_uuid()::text)
ON CONFLICT (consumer_group) DO UPDATE SET ` + markColumn + ` = excluded.` + markColumn

// adopt numbers the messages of a restored dump again. Left as they are, nobody would see them before the server has given out
// their numbers, and nobody who has acknowledged one of them would see what is published now.
func (t *Transport) adopt(ctx context.Context, tb tables, marked bool) error {
	messages, offsets := quoted(tb.messages), quoted(tb.offsets)
	restored := false
	if err := t.db.QueryRowContext(ctx, fmt.Sprintf(ahead, messages, offsets)).Scan(&restored); err != nil || !restored {
		return err
	}
	err := t.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `LOCK TABLE `+messages+`, `+offsets+` IN EXCLUSIVE MODE`); err != nil {
			return err
		}
		// Whoever was first has done it.
		if err := tx.QueryRowContext(ctx, fmt.Sprintf(ahead, messages, offsets)).Scan(&restored); err != nil || !restored {
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

// inTx commits what fn does, or nothing of it. Every statement of fn sees what was committed before it.
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
