package sqlite

import (
	"context"
	"log/slog"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/typechange"
)

// bury writes the dead letter, and parks its key if the subscription says so.
func (s *subscription) bury(u *commit.Unit, d *journal.Delivery, v *journal.Verdict) error {
	k, e := &s.j.kept, d.Event
	s.j.died()
	_, _, err := k.dead.Exec(e.Seq, s.id, v.Err, v.Stack, int64(d.Attempt), firstFailed(d, v).UnixMicro(),
		v.Started.Add(v.Duration).UnixMicro())
	if err == nil && s.Park && e.Key != "" {
		_, _, err = k.pend.Exec(s.id, e.Key, e.Seq, "parked", int64(0), int64(0), int64(0))
	}
	return err
}

// buryLost makes a dead letter of every open event of a type that the subscription has lost by c.
func (s *subscription) buryLost(ctx context.Context, u *commit.Unit, c typechange.Change) error {
	open, err := c.Open(ctx, u.Tx(), s.id)
	if err != nil || len(open) == 0 {
		return err
	}
	v := &journal.Verdict{
		Outcome: journal.Dead, Started: s.j.cfg.now(),
		Err: "the subscription no longer consumes the type: replay with a program that does, or drop",
	}
	for _, o := range open {
		e := o.Event
		_, err := s.j.kept.answer(o.Again, e.Seq, s.id, string(v.Outcome), int64(o.Attempts), v.Started.UnixMicro(),
			int64(0), v.Err)
		if err != nil {
			return u.Refuse(err)
		}
		if err := s.clear(u, e, v.Outcome); err != nil {
			return err
		}
		if err := s.bury(u, &journal.Delivery{Event: e, Attempt: o.Attempts, Failed: o.Failed}, v); err != nil {
			return u.Refuse(err)
		}
	}
	s.j.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a subscription has lost event types, whose open events are dead letters now",
		slog.String("subscription", s.Name), slog.Any("types", c.Lost), slog.Int("events", len(open)))
	return nil
}

// clear deletes the pending row of an earlier attempt, and updates a replayed dead letter.
func (s *subscription) clear(u *commit.Unit, e *journal.Event, o journal.Outcome) error {
	if _, _, err := s.j.kept.unpend.Exec(s.id, e.Key, e.Seq); err != nil {
		return u.Refuse(err)
	}
	status := ""
	switch o {
	case journal.Done, journal.Skipped:
		status = "replayed"
	case journal.Dropped:
		status = "dropped"
	default:
		return nil
	}
	_, _, err := s.j.kept.revived.Exec(status, s.id, e.Seq)
	return u.Refuse(err)
}
