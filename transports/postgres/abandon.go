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
	// noGroup is the group of the row that says up to where messages were deleted. No Config.Group is empty.
	noGroup = ""
	// absentFor is for how long nobody has to have been seen reading, or a Retention that is shorter.
	absentFor = time.Hour
)

// held is a place that a group keeps.
type held struct {
	group string
	place place
}

// absence is a place that nobody was seen reading from, at any look since then.
type absence struct {
	held
	since time.Time
}

// selectLast finds the group that is behind the most, if the oldest message is behind its place and should have gone long ago,
// and whether that is so long ago that the place may be given up.
const selectLast = `
SELECT g.consumer_group, g.last_processed_transaction_id::text, g.offset_acked, m.created_at, m.created_at < now() - $1 * interval '4 microseconds'
FROM (SELECT * FROM %[2]s WHERE consumer_group <> '' ORDER BY last_processed_transaction_id, offset_acked LIMIT 1) g,
	(SELECT * FROM %[1]s ORDER BY transaction_id, "offset" LIMIT 1) m
WHERE (m.transaction_id, m."offset") > (g.last_processed_transaction_id, g.offset_acked)
	AND m.created_at < now() - $1 * interval '2 microseconds'`

// lookAtLast says once of a group that it makes a topic grow, and gives its place up when nobody reads from it any more. It
// reports whether there may be more to delete now.
func (t *Transport) lookAtLast(ctx context.Context, tb tables) (bool, error) {
	var last held
	var since time.Time
	var long bool
	query := fmt.Sprintf(selectLast, quoted(tb.messages), quoted(tb.offsets))
	err := t.db.QueryRowContext(ctx, query, t.config.Retention.Microseconds()).
		Scan(&last.group, &last.place.transaction, &last.place.offset, &since, &long)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	about := []any{slog.String("topic", tb.topic), slog.String("group", last.group), slog.String("table", tb.offsets), slog.Time("since", since)}
	key := tb.topic + "\x00" + last.group
	t.mu.Lock()
	told := t.told[key]
	t.told[key] = true
	t.mu.Unlock()
	if !told {
		t.config.Logger.Warn("postgres: a group does not acknowledge, and its messages are kept: start it, or, if it is gone for good, delete its row;"+
			" if nobody reads for it until they are four times as old as the retention, they are deleted", about...)
	}
	if !long {
		return false, nil
	}
	read, err := t.isRead(ctx, tb, last.group)
	if err != nil || !t.goneLong(tb.topic, last, read) {
		return false, err
	}
	given, err := t.giveUp(ctx, tb, last)
	if given {
		t.mu.Lock()
		delete(t.absent, tb.topic) // it may come again, to the same place
		t.mu.Unlock()
		t.config.Logger.Warn("postgres: nobody has read for a group for long: its place is given up, and what it has not acknowledged is deleted;"+
			" if it comes again it is told so, by a message of its own", about...)
	}
	return given, err
}

// goneLong notes whether a place is being read from, and reports whether it has not been for long.
func (t *Transport) goneLong(topic string, last held, read bool) bool {
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

// isRead reports whether somebody reads for the group now.
func (t *Transport) isRead(ctx context.Context, tb tables, group string) (read bool, err error) {
	err = t.db.QueryRowContext(ctx, `SELECT NOT pg_try_advisory_xact_lock(`+lockKey+`)`, tb.lock(group)...).Scan(&read)
	return read, err
}

// giveUp deletes a place, unless it has moved, or somebody reads from it.
func (t *Transport) giveUp(ctx context.Context, tb tables, h held) (given bool, err error) {
	err = t.inTx(ctx, func(tx *sql.Tx) error {
		free := false
		err := tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock(`+lockKey+`)`, tb.lock(h.group)...).Scan(&free)
		if err != nil || !free {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM `+quoted(tb.offsets)+`
			WHERE consumer_group = $1 AND last_processed_transaction_id = $2::text::xid8 AND offset_acked = $3`,
			h.group, fmt.Sprint(h.place.transaction), h.place.offset)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		given = rows > 0
		return err
	})
	return given && err == nil, err
}

// selectPassed finds the places of a deployable that are not ahead of the one that it reads from.
const selectPassed = `
SELECT o.consumer_group, o.last_processed_transaction_id::text, o.offset_acked FROM %[1]s o, %[1]s mine
WHERE mine.consumer_group = $2 AND o.consumer_group <> $2 AND o.` + ownerColumn + ` = $1
	AND (o.last_processed_transaction_id, o.offset_acked) <= (mine.last_processed_transaction_id, mine.offset_acked)`

// forgetPassed deletes the places that this deployable kept under other names, once the one that it reads from has passed them:
// until then it may go back to the program that used them.
func (t *Transport) forgetPassed(ctx context.Context, tb tables) error {
	t.mu.Lock()
	mine, owned := t.reading[tb.topic], t.layouts[tb.topic].owned
	t.mu.Unlock()
	if mine == "" || !owned {
		return nil
	}
	passed, err := t.passed(ctx, tb, mine)
	for _, h := range passed {
		given, err := t.giveUp(ctx, tb, h)
		if err != nil {
			return err
		}
		if given {
			t.config.Logger.Info("postgres: a place that this deployable kept under another name is given up: the present one has passed it",
				slog.String("topic", tb.topic), slog.String("place", h.group), slog.String("present", mine))
		}
	}
	return err
}

func (t *Transport) passed(ctx context.Context, tb tables, mine string) (passed []held, err error) {
	rows, err := t.db.QueryContext(ctx, fmt.Sprintf(selectPassed, quoted(tb.offsets)), t.config.Group, mine)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // rows.Err says what went wrong
	for rows.Next() {
		var h held
		if err := rows.Scan(&h.group, &h.place.transaction, &h.place.offset); err != nil {
			return nil, err
		}
		passed = append(passed, h)
	}
	return passed, rows.Err()
}
