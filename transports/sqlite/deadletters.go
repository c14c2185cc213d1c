package sqlite

import (
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
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
