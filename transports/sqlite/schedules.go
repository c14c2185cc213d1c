package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// upsertSchedule changes no row of a schedule that is not at ?5.
const upsertSchedule = `
INSERT INTO schedules (name, spec, last_at, next_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, last_at = excluded.last_at, next_at = excluded.next_at
WHERE last_at = ?5`

// moveOn writes a step of a schedule.
func (j *Journal) moveOn(u *commit.Unit, t *journal.Tick) error {
	u.Tx() // the step is undone when the work fails
	changed, _, err := j.kept.tick.Exec(t.Schedule, t.Spec, row.Micros(t.To), row.Micros(t.Next), row.Micros(t.From))
	if err == nil && changed == 0 {
		return fmt.Errorf("%w: another process has moved the schedule %s on", journal.ErrAbandoned, t.Schedule)
	}
	return u.Refuse(err)
}

// Ticked implements journal.Journal.
func (j *Journal) Ticked(ctx context.Context, schedule string) (time.Time, error) {
	var last int64
	err := j.readers.QueryRowContext(ctx, "SELECT coalesce((SELECT last_at FROM schedules WHERE name = ?), 0)", schedule).Scan(&last)
	if err != nil {
		return time.Time{}, fmt.Errorf("read schedule %s: %w", schedule, row.Explain(err))
	}
	return row.TimeOrZero(last), nil
}

// Until implements journal.Journal.
func (j *Journal) Until(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		stepped := j.stepped.Wait()
		left := t.Sub(j.cfg.now())
		if left <= 0 {
			return nil
		}
		timer.Reset(left)
		select {
		case <-timer.C:
		case <-stepped:
		case <-ctx.Done():
			return ctx.Err()
		case <-j.ctx.Done():
			return journal.ErrClosed
		}
	}
}
