package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// lanesAtOnce bounds the rows of pending that one query reads.
const lanesAtOnce = 256

// openRow is a row of pending.
type openRow struct {
	dispatch.Row
	attempts    int
	failed      time.Time // end of the last attempt
	firstFailed time.Time
}

// ahead reports whether a clock ahead of now has written r.
func (r *openRow) ahead(now time.Time) bool {
	return r.State == dispatch.Retry && r.failed.After(now.Add(time.Second)) && r.Due.After(now.Add(r.Pause))
}

var rowStates = map[string]dispatch.State{"blocked": dispatch.Blocked, "retrying": dispatch.Retry, "parked": dispatch.Standing}

const (
	openColumns = `
SELECT p.key, p.seq, p.state, p.attempts, p.due_at, p.failed_at, coalesce(d.started_at + d.duration, 0)`

	fromPending = ` FROM pending p LEFT JOIN deliveries d ON d.seq = p.seq AND d.subscription = p.subscription`

	oldestOfKey = openColumns + fromPending + ` WHERE p.subscription = ? AND p.key = ? ORDER BY p.seq LIMIT 2`

	withoutKey = openColumns + fromPending + ` WHERE p.subscription = ? AND p.key = '' AND p.seq = ?`

	nextWithoutKey = openColumns + fromPending + ` WHERE p.subscription = ? AND p.key = '' AND p.seq > ? ORDER BY p.seq LIMIT ?`

	// nextKeys jumps from key to key, and reads only the first row of each.
	nextKeys = `
WITH RECURSIVE keys(key) AS (
	SELECT (SELECT min(key) FROM pending WHERE subscription = ?1 AND key > ?2)
	UNION ALL SELECT (SELECT min(o.key) FROM pending o WHERE o.subscription = ?1 AND o.key > keys.key) FROM keys WHERE keys.key IS NOT NULL
	LIMIT ?3)` + openColumns + `
FROM keys CROSS JOIN pending p ON p.subscription = ?1 AND p.key = keys.key
	AND p.seq = (SELECT min(seq) FROM pending WHERE subscription = ?1 AND key = keys.key)
LEFT JOIN deliveries d ON d.seq = p.seq AND d.subscription = p.subscription
ORDER BY p.key`

	nextDueRetries = openColumns + fromPending + `
WHERE p.subscription = ? AND p.state = 'retrying' AND (p.due_at, p.key, p.seq) > (?, ?, ?) ORDER BY p.due_at, p.key, p.seq LIMIT ?`
)

// openRows reads rows of openColumns.
func (j *Journal) openRows(ctx context.Context, query string, args ...any) ([]openRow, error) {
	rows, err := j.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read what is open: %w", row.Explain(err))
	}
	defer func() { _ = rows.Close() }()
	var found []openRow
	for rows.Next() {
		var r openRow
		var key, state string
		var due, first, last int64
		if err := rows.Scan(&key, &r.Seq, &state, &r.attempts, &due, &first, &last); err != nil {
			return nil, err
		}
		r.Lane, r.State = dispatch.LaneOf(key, r.Seq), rowStates[state]
		r.Due, r.failed, r.firstFailed = time.UnixMicro(due), row.TimeOrZero(last), row.TimeOrZero(first)
		if first == 0 && r.attempts > 0 { // written by an older program
			r.firstFailed = r.failed
		}
		r.Pause = pauseOf(r.failed, r.Due)
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what is open: %w", row.Explain(err))
	}
	return found, nil
}

// oldest returns the oldest row of a lane, or nil.
func (s *subscription) oldest(ctx context.Context, id dispatch.Lane) (*openRow, error) {
	query, arg := oldestOfKey, any(id.Key)
	if id.Key == "" {
		query, arg = withoutKey, id.Seq
	}
	rows, err := s.j.openRows(ctx, query, s.id, arg)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	rows[0].More = len(rows) > 1
	return &rows[0], nil
}

// nextLanes returns the oldest rows of the lanes after after, ordered by key, and whether there are no more.
func (s *subscription) nextLanes(ctx context.Context, after dispatch.Lane) (rows []openRow, last bool, err error) {
	if after.Key == "" {
		if rows, err = s.j.openRows(ctx, nextWithoutKey, s.id, after.Seq,
			lanesAtOnce); err != nil || len(rows) == lanesAtOnce {
			return rows, false, err
		}
	}
	limit := lanesAtOnce - len(rows)
	keyed, err := s.j.openRows(ctx, nextKeys, s.id, after.Key, limit)
	return append(rows, keyed...), len(keyed) < limit, err
}

// nextRetries returns the next retries after mark, ordered by due time, and whether there are no more.
func (s *subscription) nextRetries(ctx context.Context, mark dispatch.Mark) (rows []openRow, last bool, err error) {
	due := int64(0)
	if !mark.Due.IsZero() {
		due = mark.Due.UnixMicro()
	}
	rows, err = s.j.openRows(ctx, nextDueRetries, s.id, due, mark.Key, mark.Seq, lanesAtOnce)
	return rows, len(rows) < lanesAtOnce, err
}

// countBlocked counts, once, the blocked events of earlier processes.
func (s *subscription) countBlocked(ctx context.Context) error {
	if s.counted {
		return nil
	}
	var n int
	err := s.j.readers.QueryRowContext(ctx, "SELECT count(*) FROM pending WHERE subscription = ? AND state = 'blocked'", s.id).Scan(&n)
	if err != nil {
		return fmt.Errorf("count blocked: %w", row.Explain(err))
	}
	s.counted = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch.CountBlocked(n)
	return nil
}

// withoutAnswered removes events with a row in deliveries: cursors are written seldom.
func (s *subscription) withoutAnswered(ctx context.Context, events []*journal.Event) ([]*journal.Event, error) {
	seqs := make([]int64, len(events))
	for i, e := range events {
		seqs[i] = e.Seq
	}
	rows, err := s.j.readers.QueryContext(ctx, "SELECT seq FROM deliveries WHERE subscription = ? AND seq IN (SELECT value FROM json_each(?))", s.id, row.List(seqs))
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", row.Explain(err))
	}
	defer func() { _ = rows.Close() }()
	answered := map[int64]bool{}
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, err
		}
		answered[seq] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read deliveries: %w", row.Explain(err))
	}
	var left []*journal.Event
	for _, e := range events {
		if !answered[e.Seq] {
			left = append(left, e)
		}
	}
	return left, nil
}

// askForRows sets OnDisk of tasks whose key has pending rows.
func (s *subscription) askForRows(ctx context.Context, tasks []*dispatch.Task) error {
	args := []any{s.id}
	seen := map[string]bool{}
	for _, t := range tasks {
		if t.Key != "" && !seen[t.Key] {
			seen[t.Key] = true
			args = append(args, t.Key)
		}
	}
	if len(args) == 1 {
		return nil
	}
	query := "SELECT DISTINCT key FROM pending WHERE subscription = ? AND key IN (?" + strings.Repeat(", ?", len(args)-2) + ")"
	rows, err := s.j.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read pending keys: %w", row.Explain(err))
	}
	defer func() { _ = rows.Close() }()
	open := map[string]bool{}
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return err
		}
		open[key] = true
	}
	for _, t := range tasks {
		t.OnDisk = open[t.Key]
	}
	return rows.Err()
}
