package sqlite

import (
	"database/sql"
	"errors"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// delayedBatch bounds the delayed events that one transaction appends.
const delayedBatch = 256

// watchDelayed appends delayed events when they are due, and sleeps between. An observer receives the events from
// topics.
func (j *Journal) watchDelayed() {
	timer := time.NewTimer(0) // events that came due while no process ran
	defer timer.Stop()
	tries := oncelog.NewTries(j.cfg.Logger, "appending delayed events")
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-j.delayedWake:
		case <-timer.C:
		}
		next, err := j.appendDue()
		if j.ctx.Err() != nil {
			return
		}
		if tries.Note(err); err != nil {
			next = j.cfg.now().Add(troubleDelay)
		}
		timer.Reset(max(next.Sub(j.cfg.now()), 0))
	}
}

const dueDelayed = `
SELECT 0, event_id, type, version, source, key, due_at, correlation_id, causation_id, subscription, hops, metadata, data
FROM delayed WHERE due_at <= ? ORDER BY due_at, id LIMIT ?`

const firstDelayed = "SELECT due_at FROM delayed WHERE NOT EXISTS (SELECT 1 FROM observer) ORDER BY due_at LIMIT 1"

// appendDue appends the due events, and returns the time of the next.
func (j *Journal) appendDue() (next time.Time, err error) {
	for {
		next, err := j.nextDue()
		if err != nil || next.After(j.cfg.now()) {
			return next, err
		}
		due, err := j.due(j.cfg.now())
		if err != nil {
			return time.Time{}, err
		}
		if err := j.appendThese(due); err != nil {
			return time.Time{}, err
		}
	}
}

// appendThese appends those of due that were not cancelled since they were read.
func (j *Journal) appendThese(due []*journal.Event) error {
	return j.writer.Submit(j.ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Run: func(u *commit.Unit) error {
		u.Tx() // all or none
		for _, e := range due {
			waits, _, err := j.kept.undelay.Exec(e.ID)
			if err == nil && waits > 0 {
				err = u.Append(e)
			}
			if err != nil {
				return u.Refuse(err)
			}
		}
		return nil
	}})
}

// nextDue returns the time of the next delayed event, or in a day without one.
func (j *Journal) nextDue() (time.Time, error) {
	var micros int64
	err := j.readers.QueryRowContext(j.ctx, firstDelayed).Scan(&micros)
	if errors.Is(err, sql.ErrNoRows) {
		return j.cfg.now().Add(24 * time.Hour), nil
	}
	return time.UnixMicro(micros), err
}

func (j *Journal) due(now time.Time) ([]*journal.Event, error) {
	rows, err := j.readers.QueryContext(j.ctx, dueDelayed, now.UnixMicro(), delayedBatch)
	if err != nil {
		return nil, err
	}
	return row.ScanEvents(rows, dispatch.AdmittedBytes)
}
