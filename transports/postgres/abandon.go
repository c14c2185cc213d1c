package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// noGroup is the name in the row that contains the position up to which messages were deleted. No Config.Group is
	// empty.
	noGroup = ""
	// absentFor, or a shorter Retention, is how long a group must be without a reader before its position is deleted.
	absentFor = time.Hour
)

// held is a group's position.
type held struct {
	group    string
	position position
}

// absence is a position from which no process was seen reading since a time.
type absence struct {
	held
	since time.Time
}

// selectSlowest finds the group with the lowest position, if the oldest message is after the position and twice as old
// as the Retention. The last column reports whether the message is four times as old.
const selectSlowest = `
SELECT g.consumer_group, g.last_processed_transaction_id::text, g.offset_acked, m.created_at, m.created_at < now() - $1 * interval '4 microseconds'
FROM (SELECT * FROM %[2]s WHERE consumer_group <> '' ORDER BY last_processed_transaction_id, offset_acked LIMIT 1) g,
	(SELECT * FROM %[1]s ORDER BY transaction_id, "offset" LIMIT 1) m
WHERE (m.transaction_id, m."offset") > (g.last_processed_transaction_id, g.offset_acked)
	AND m.created_at < now() - $1 * interval '2 microseconds'`

// checkSlowest logs, once for each group, that the group makes a topic grow, and deletes the group's position after a
// long time without a reader. It reports whether there may be more messages to delete now.
func (t *Transport) checkSlowest(ctx context.Context, tb tables) (bool, error) {
	var last held
	var since time.Time
	var long bool
	query := fmt.Sprintf(selectSlowest, quoted(tb.messages), quoted(tb.offsets))
	err := t.db.QueryRowContext(ctx, query, t.config.Retention.Microseconds()).
		Scan(&last.group, &last.position.transaction, &last.position.offset, &since, &long)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	about := []any{slog.String("topic", tb.topic), slog.String("group", last.group), slog.String("table", tb.offsets), slog.Time("since", since)}
	key := tb.topic + "\x00" + last.group
	t.mu.Lock()
	warned := t.warnedGroups[key]
	t.warnedGroups[key] = true
	t.mu.Unlock()
	if !warned {
		t.config.Logger.Warn("postgres: a consumer group is behind, so its messages are kept: start its deployable, or delete its row if it is gone."+
			" Without a reader they are deleted at 4 times the retention", about...)
	}
	if !long {
		return false, nil
	}
	read, err := t.isRead(ctx, tb, last.group)
	if err != nil || !t.absentLong(tb.topic, last, read) {
		return false, err
	}
	deleted, err := t.deletePosition(ctx, tb, last)
	if deleted {
		t.mu.Lock()
		delete(t.absent, tb.topic) // the group may come back, to the same position
		t.mu.Unlock()
		t.config.Logger.Warn("postgres: a consumer group had no reader for long: its position and the messages kept for it are deleted."+
			" If it comes back, it gets a message about that", about...)
	}
	return deleted, err
}

// absentLong notes whether a group has a reader, and reports whether the group has been without a reader for long.
func (t *Transport) absentLong(topic string, last held, read bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if read {
		delete(t.absent, topic)
		return false
	}
	if t.absent[topic].held != last {
		t.absent[topic] = absence{last, time.Now()}
	}
	return time.Since(t.absent[topic].since) >= min(t.config.Retention, absentFor)
}

// isRead reports whether a process reads for the group now.
func (t *Transport) isRead(ctx context.Context, tb tables, group string) (read bool, err error) {
	err = t.db.QueryRowContext(ctx, `SELECT NOT pg_try_advisory_xact_lock(`+lockKey+`)`, tb.lock(group)...).Scan(&read)
	return read, err
}

// deletePosition deletes a position, unless the position has moved or a process reads from it.
func (t *Transport) deletePosition(ctx context.Context, tb tables, h held) (deleted bool, err error) {
	err = t.inTx(ctx, func(tx *sql.Tx) error {
		free := false
		err := tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock(`+lockKey+`)`, tb.lock(h.group)...).Scan(&free)
		if err != nil || !free {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM `+quoted(tb.offsets)+`
			WHERE consumer_group = $1 AND last_processed_transaction_id = $2::text::xid8 AND offset_acked = $3`,
			h.group, fmt.Sprint(h.position.transaction), h.position.offset)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		deleted = rows > 0
		return err
	})
	return deleted && err == nil, err
}

// selectPassed finds the positions of a deployable that are not ahead of its present position.
const selectPassed = `
SELECT o.consumer_group, o.last_processed_transaction_id::text, o.offset_acked FROM %[1]s o, %[1]s mine
WHERE mine.consumer_group = $2 AND o.consumer_group <> $2 AND o.` + ownerColumn + ` = $1
	AND (o.last_processed_transaction_id, o.offset_acked) <= (mine.last_processed_transaction_id, mine.offset_acked)`

// deletePassed deletes the positions that this deployable kept under other names, once the present position has passed
// them. Until then, the deployable may return to the program that used them.
func (t *Transport) deletePassed(ctx context.Context, tb tables) error {
	t.mu.Lock()
	mine, owned := t.reading[tb.topic], t.layouts[tb.topic].owned
	t.mu.Unlock()
	if mine == "" || !owned {
		return nil
	}
	passed, err := t.passed(ctx, tb, mine)
	for _, h := range passed {
		deleted, err := t.deletePosition(ctx, tb, h)
		if err != nil {
			return err
		}
		if deleted {
			t.config.Logger.Info("postgres: deleted a position of this deployable under another name, as the present position has passed it",
				slog.String("topic", tb.topic), slog.String("position", h.group), slog.String("present", mine))
		}
	}
	return err
}

func (t *Transport) passed(ctx context.Context, tb tables, mine string) (passed []held, err error) {
	rows, err := t.db.QueryContext(ctx, fmt.Sprintf(selectPassed, quoted(tb.offsets)), t.config.Group, mine)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // rows.Err has the error
	for rows.Next() {
		var h held
		if err := rows.Scan(&h.group, &h.position.transaction, &h.position.offset); err != nil {
			return nil, err
		}
		passed = append(passed, h)
	}
	return passed, rows.Err()
}
