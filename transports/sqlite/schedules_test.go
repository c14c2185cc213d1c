package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Of two processes that move a schedule on from the same place, one does, and a step is undone with its work.
func TestAScheduleMovesOnOnce(t *testing.T) {
	t.Parallel()
	j := MustOpen(t, filepath.Join(t.TempDir(), "j.db"), sqlite.Config{})
	failed := errors.New("failed")
	at := func(hour int) time.Time {
		if hour == 0 {
			return time.Time{}
		}
		return time.Date(2026, 11, 30, hour, 0, 0, 0, time.UTC)
	}
	for i, c := range []struct {
		from, to int
		run      error
		want     error
		then     int
	}{
		{1, 2, nil, nil, 2}, // no row yet: the first one counts
		{1, 3, nil, journal.ErrAbandoned, 2},
		{0, 3, nil, journal.ErrAbandoned, 2},
		{2, 3, failed, failed, 2},
		{2, 3, nil, nil, 3},
	} {
		tick := &journal.Tick{Schedule: "m/hourly", Spec: "1h", From: at(c.from), To: at(c.to), Next: at(c.to + 1)}
		err := j.Do(t.Context(), journal.Work{Module: "m", Name: "m/hourly", Tick: tick}, func(journal.TxFunc) ([]*journal.Event, error) {
			return nil, c.run
		})
		last, failed := j.Ticked(t.Context(), "m/hourly")
		if !errors.Is(err, c.want) || failed != nil || !last.Equal(at(c.then)) {
			t.Errorf("step %d: %v, want %v; then at %v (%v)", i, err, c.want, last, failed)
		}
	}
	s, err := j.Reader().Stats(t.Context())
	if want := (sqlite.ScheduleStats{Name: "m/hourly", Spec: "1h", Last: at(3), Next: at(4)}); err != nil || len(s.Schedules) != 1 || s.Schedules[0] != want {
		t.Errorf("the schedules are %v, want %v: %v", s.Schedules, want, err)
	}
	if last, err := j.Ticked(t.Context(), "m/other"); err != nil || !last.IsZero() {
		t.Errorf("a new schedule is at %v: %v", last, err)
	}
}
