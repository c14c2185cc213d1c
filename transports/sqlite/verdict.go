package sqlite

import (
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// record writes the verdict and the emitted events, with the state changes of the work.
func (s *subscription) record(u *commit.Unit, d *journal.Delivery, again bool, v *journal.Verdict) error {
	finish := u.Release
	if v.Outcome != journal.Done {
		finish = u.Rollback
	}
	if err := finish(); err != nil {
		return err
	}
	k, e := &s.j.kept, d.Event
	used := int64(v.Counted(d.Attempt))
	changed, err := k.answer(again, e.Seq, s.id, string(v.Outcome), used, v.Started.UnixMicro(),
		v.Duration.Microseconds(), row.TextOrNull(v.Err))
	if err != nil {
		return u.Refuse(err)
	}
	if changed == 0 { // claim prevents this, unless another program wrote here
		return u.Refuse(fmt.Errorf("%w: event %d, %s", commit.ErrAnswered, e.Seq, s.Name))
	}
	if again {
		if err := s.clear(u, e, v.Outcome); err != nil {
			return err
		}
	}
	switch v.Outcome {
	case journal.Done:
		for _, e := range v.Emit {
			if err := u.Append(e); err != nil {
				return err
			}
		}
	case journal.Retrying:
		_, _, err = k.pend.Exec(s.id, e.Key, e.Seq, "retrying", used, row.Micros(v.RetryAt), row.Micros(firstFailed(d, v)))
	case journal.Dead:
		err = s.bury(u, d, v)
	}
	return u.Refuse(err)
}

// firstFailed returns the time when the first attempt of a delivery failed, or the zero time without one. v is the
// verdict of the latest attempt.
func firstFailed(d *journal.Delivery, v *journal.Verdict) time.Time {
	if !d.Failed.IsZero() || v.Waits {
		return d.Failed
	}
	return v.Started.Add(v.Duration)
}
