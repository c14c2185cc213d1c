package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// troubleDelay is the pause after the store refused something that a subscription needs.
const troubleDelay = 100 * time.Millisecond

// run is the subscription's goroutine, until ctx ends. It waits for a wake-up or for the next retry, never polls.
func (s *subscription) run(ctx context.Context) {
	defer s.stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	troubled := false
	for {
		err := s.pump(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !troubled: // once a trouble, not once a try
			s.j.cfg.Logger.LogAttrs(ctx, slog.LevelError, "subscription cannot go on, will try again", slog.String("subscription", s.Name), slog.Any("error", err))
		}
		troubled = err != nil
		timer.Reset(s.nap(troubled))
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// nap is how long to wait at most.
func (s *subscription) nap(troubled bool) time.Duration {
	if troubled {
		return troubleDelay
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.retries) == 0 || s.throttled {
		return 24 * time.Hour
	}
	return max(s.retries[0].due.Sub(s.j.cfg.now()), 0)
}

// stop ends the deliveries: nothing is handed out after it.
func (s *subscription) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	close(s.out)
}

// pump does all that can be done now. Recording the blocked comes before going on with their keys, which looks for them
// on disk.
func (s *subscription) pump(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.recordBlocked(ctx); err != nil {
			return err
		}
		if err := s.resumeKeys(ctx); err != nil {
			return err
		}
		if err := s.launchDue(ctx); err != nil {
			return err
		}
		more, err := s.follow(ctx)
		if err != nil {
			return err
		}
		if !more {
			s.j.settled()
			return nil
		}
	}
	return nil
}

// follow admits events from the log. It reports whether there may be more.
func (s *subscription) follow(ctx context.Context) (more bool, err error) {
	room := s.room()
	if room <= 0 {
		return false, nil // settling makes room and wakes us
	}
	s.mu.Lock()
	pos := s.pos
	s.mu.Unlock()
	events, next, err := s.j.read(ctx, pos, s.match, room)
	if err != nil || next == pos {
		return false, err
	}
	if s.match.except {
		events = s.j.withoutPlain(events)
	}
	s.admit(events, next)
	return true, nil
}

// withoutPlain drops the events of plain Watermill topics: they are the business of their consumer groups.
func (j *Journal) withoutPlain(events []*journal.Event) []*journal.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(events, func(e *journal.Event) bool { return j.topics[e.Type] })
}

// recordBlocked writes down who waits behind a failed event of its key, so that the cursor can pass it.
func (s *subscription) recordBlocked(ctx context.Context) error {
	s.mu.Lock()
	flights := s.toBlock
	s.toBlock = nil
	s.mu.Unlock()
	if len(flights) == 0 {
		return nil
	}
	err := s.j.writer.submit(ctx, &item{work: journal.Work{Name: "journal"}, run: func(u *unit) error {
		u.Tx() // all of them or none
		for _, f := range flights {
			if err := u.block(s.id, f.Event); err != nil {
				return err
			}
		}
		return nil
	}})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.toBlock = append(flights, s.toBlock...)
		return fmt.Errorf("record blocked: %w", err)
	}
	for _, f := range flights {
		s.land(f)
	}
	return nil
}

// block records that e waits behind another event of its key.
func (u *unit) block(subscription int64, e *journal.Event) error {
	k := u.w.kept
	if _, _, err := k.deliver.exec(e.Seq, subscription, string(journal.Blocked), int64(0), time.Now().UnixMicro(), int64(0), nil); err != nil {
		return u.refuse(err)
	}
	_, _, err := k.pend.exec(subscription, e.Key, e.Seq, "blocked", int64(0), int64(0))
	return u.refuse(err)
}

const oldestBlocked = `
SELECT seq FROM pending WHERE subscription = ? AND key = ? AND state = 'blocked' ORDER BY seq LIMIT 1`

// resumeKeys launches the oldest blocked event of each key whose head was settled.
func (s *subscription) resumeKeys(ctx context.Context) error {
	for {
		s.mu.Lock()
		if len(s.resume) == 0 || s.crowded() {
			s.mu.Unlock()
			return nil
		}
		key := s.resume[0]
		s.mu.Unlock()
		var seq int64
		err := s.j.readers.QueryRowContext(ctx, oldestBlocked, s.id, key).Scan(&seq)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read blocked: %w", explain(err))
		}
		var f *flight
		if err == nil {
			e, err := s.j.event(ctx, seq)
			if err != nil {
				return err
			}
			f = s.flight(e)
		}
		s.mu.Lock()
		if f == nil && s.isToBlock(key) { // not on disk yet: pump records it, and comes back
			s.mu.Unlock()
			return nil
		}
		s.resume = s.resume[1:]
		l := s.keys[key]
		if f == nil { // none left on disk: nothing may be owed in memory either
			s.owe(l, -l.blocked)
			s.advance(key)
		} else {
			s.owe(l, -1)
			s.relaunch(f)
		}
		s.mu.Unlock()
	}
}

// launchDue hands out what is due for another attempt.
func (s *subscription) launchDue(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.crowded() {
			s.mu.Unlock()
			return nil
		}
		r, ok := s.retries.next(s.j.cfg.now())
		switch {
		case ok && r.flight != nil:
			s.launch(r.flight)
		case ok:
			s.loading++ // it is neither waiting nor in flight, and must not look like quiet
		}
		s.mu.Unlock()
		if !ok {
			return nil
		}
		if r.flight != nil {
			continue
		}
		e, err := s.j.event(ctx, r.seq)
		if err != nil {
			s.mu.Lock()
			s.loading--
			s.retries.add(r)
			s.mu.Unlock()
			return err
		}
		f := s.flight(e)
		f.Attempt, f.Failed = r.attempts+1, r.failed
		s.mu.Lock()
		s.loading--
		s.relaunch(f)
		s.mu.Unlock()
	}
}

// relaunch hands out a delivery that was read back from the disk, unless it is out already: an act may be heard of twice,
// from the rows and from the log of acts. s.mu is held.
func (s *subscription) relaunch(f *flight) {
	if s.flights[f.Event.Seq] != nil {
		return
	}
	f.again = true
	s.flights[f.Event.Seq] = f
	s.launch(f)
}

// loadPending tells each subscription what the last process left open.
func loadPending(ctx context.Context, q queryer, subs []*subscription) error {
	byID := map[int64]*subscription{}
	for _, s := range subs {
		byID[s.id] = s
	}
	rows, err := q.QueryContext(ctx, "SELECT subscription, seq, key, state, attempts, due_at FROM pending ORDER BY subscription, seq")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, seq, due int64
		var key, state string
		var attempts int
		if err := rows.Scan(&id, &seq, &key, &state, &attempts, &due); err != nil {
			return err
		}
		if s := byID[id]; s != nil {
			s.restore(retry{seq: seq, attempts: attempts, due: time.UnixMicro(due)}, key, state)
		}
	}
	for _, s := range subs {
		for _, key := range slices.Sorted(maps.Keys(s.keys)) {
			if l := s.keys[key]; !l.held && l.parked == 0 {
				s.resume = append(s.resume, key)
			}
		}
	}
	return rows.Err()
}

// restore takes one row of pending.
func (s *subscription) restore(r retry, key, state string) {
	l := s.keys[key]
	if l == nil && key != "" {
		l = &lane{}
		s.keys[key] = l
	}
	switch {
	case state == "blocked":
		s.owe(l, 1)
	case state == "parked":
		l.parked = r.seq
	default:
		s.retries.add(r)
		if l != nil {
			l.held = true
		}
	}
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
