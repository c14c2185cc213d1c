package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
)

// troubleDelay is the pause after a failure of the store.
const troubleDelay = 100 * time.Millisecond

// run is the goroutine of the subscription, until ctx ends. It waits for a wake-up or the next retry, and never polls.
func (s *subscription) run(ctx context.Context) {
	defer s.stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	tries := oncelog.NewTries(s.j.cfg.Logger, "subscription", "subscription", s.Name)
	for {
		until, err := s.pump(ctx)
		if ctx.Err() != nil {
			return
		}
		tries.Note(err)
		timer.Reset(s.nap(until, err != nil))
		select {
		case <-ctx.Done():
			return
		case <-s.Wake:
		case <-timer.C:
		}
	}
}

// nap returns the maximum time to wait.
func (s *subscription) nap(until time.Time, troubled bool) time.Duration {
	switch {
	case troubled:
		return troubleDelay
	case until.IsZero():
		return 24 * time.Hour
	default:
		return max(until.Sub(s.j.cfg.now()), 0)
	}
}

// stop ends the deliveries.
func (s *subscription) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch.Stop()
	close(s.out)
}

// pump does all steps that are possible now, and returns the time of the next step.
func (s *subscription) pump(ctx context.Context) (until time.Time, err error) {
	if err := s.countBlocked(ctx); err != nil {
		return until, err
	}
	s.mu.Lock()
	s.dispatch.News()
	s.mu.Unlock()
	for ctx.Err() == nil {
		s.mu.Lock()
		step := s.dispatch.Next(s.j.cfg.now())
		s.mu.Unlock()
		switch step.Kind {
		case dispatch.Record:
			err = s.recordBlocked(ctx, step.Tasks)
		case dispatch.Look:
			err = s.look(ctx, step.Lane)
		case dispatch.SweepOn:
			err = s.sweep(ctx, step)
		case dispatch.LookDue:
			err = s.lookDue(ctx, step.Mark)
		case dispatch.ReadLog:
			err = s.follow(ctx, step.Room)
		default:
			s.j.settled()
			return step.Until, nil
		}
		if err != nil {
			return until, err
		}
	}
	return until, nil
}

// follow admits events from the log.
func (s *subscription) follow(ctx context.Context, room dispatch.Room) error {
	s.mu.Lock()
	pos, complete := s.dispatch.Pos(), s.dispatch.Complete()
	s.mu.Unlock()
	events, next, err := s.j.readWithin(ctx, pos, s.Match, room.Tasks, room.Bytes)
	if err != nil {
		return err
	}
	if s.Match.Except {
		events = s.j.withoutPlain(events)
	}
	if pos < s.answered {
		if events, err = s.withoutAnswered(ctx, events); err != nil {
			return err
		}
	}
	tasks := make([]*dispatch.Task, len(events))
	for i, e := range events {
		tasks[i] = &s.flight(e).task
	}
	if !complete {
		if err := s.askForRows(ctx, tasks); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch.Admit(tasks, next, next != pos)
	return nil
}

// withoutPlain removes events of plain Watermill topics, which belong to consumer groups.
func (j *Journal) withoutPlain(events []*journal.Event) []*journal.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(events, func(e *journal.Event) bool { return j.topics[e.Type] })
}

// recordBlocked records events that wait after a failed event of their key, so that the cursor can pass.
func (s *subscription) recordBlocked(ctx context.Context, tasks []*dispatch.Task) error {
	err := s.j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Run: func(u *commit.Unit) error {
		u.Tx() // all or none
		for _, t := range tasks {
			if err := s.block(u, t.Owner.(*flight).Event); err != nil {
				return err
			}
		}
		return nil
	}})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch.Recorded(tasks, err == nil)
	if err != nil {
		return fmt.Errorf("record blocked: %w", err)
	}
	return nil
}

// block records that e waits after another event of the same key.
func (s *subscription) block(u *commit.Unit, e *journal.Event) error {
	k := &s.j.kept
	if _, _, err := k.deliver.Exec(e.Seq, s.id, string(journal.Blocked), int64(0), time.Now().UnixMicro(),
		int64(0), nil); err != nil {
		return u.Refuse(err)
	}
	_, _, err := k.pend.Exec(s.id, e.Key, e.Seq, "blocked", int64(0), int64(0), int64(0))
	return u.Refuse(err)
}

// look reads the oldest row of a lane, and the event if it may run now.
func (s *subscription) look(ctx context.Context, id dispatch.Lane) error {
	now := s.j.cfg.now()
	found, err := s.oldest(ctx, id)
	var row *dispatch.Row
	var task *dispatch.Task
	if err == nil && found != nil {
		if row = &found.Row; row.Runs(now) {
			task, err = s.reload(ctx, found)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.dispatch.Unfound(id)
		return err
	}
	s.dispatch.Found(id, row, task, now)
	return nil
}

// reload returns the next delivery of a row.
func (s *subscription) reload(ctx context.Context, r *openRow) (*dispatch.Task, error) {
	e, err := s.j.event(ctx, r.Seq)
	if err != nil {
		return nil, err
	}
	f := s.flight(e)
	f.Attempt, f.Failed, f.again = r.attempts+1, r.firstFailed, true
	return &f.task, nil
}

// sweep reads the oldest rows of the next lanes. Due times from a clock that was ahead are corrected on disk, too:
// lookDue searches by due time.
func (s *subscription) sweep(ctx context.Context, step dispatch.Step) error {
	rows, last, err := s.nextLanes(ctx, step.After)
	if err != nil {
		return err
	}
	now := s.j.cfg.now()
	for i := range rows {
		if r := &rows[i]; r.ahead(now) {
			r.Due = now.Add(r.Pause)
			if err := s.correct(ctx, r, now); err != nil {
				return err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch.Swept(step, rowsOf(rows), last)
	return nil
}

// correct writes the new due time of r, and now as the end of its last attempt. The difference is the pause of the
// retry, which must stay known when the clock is put back again.
func (s *subscription) correct(ctx context.Context, r *openRow, now time.Time) error {
	const (
		due = `
UPDATE pending SET due_at = ?1, failed_at = min(failed_at, ?2) WHERE subscription = ?3 AND key = ?4 AND seq = ?5 AND state = 'retrying'`
		ended = "UPDATE deliveries SET started_at = ? - duration WHERE seq = ? AND subscription = ? AND outcome = 'retrying'"
	)
	return s.j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Run: func(u *commit.Unit) error {
		tx := u.Tx()
		if _, err := tx.ExecContext(ctx, due, r.Due.UnixMicro(), now.UnixMicro(), s.id, r.Lane.Key, r.Seq); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, ended, now.UnixMicro(), r.Seq, s.id)
		return err
	}})
}

// lookDue reads the next due retries.
func (s *subscription) lookDue(ctx context.Context, mark dispatch.Mark) error {
	rows, last, err := s.nextRetries(ctx, mark)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch.FoundDue(rowsOf(rows), last, s.j.cfg.now())
	return nil
}

func rowsOf(found []openRow) []dispatch.Row {
	rows := make([]dispatch.Row, len(found))
	for i := range found {
		rows[i] = found[i].Row
	}
	return rows
}
