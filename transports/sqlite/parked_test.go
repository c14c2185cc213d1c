package sqlite_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// An act on another dead letter of the key does not release what a parked one holds.
func TestOnlyWhatParkedAKeyReleasesIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	p := newPatient()
	a := p.run(t, path, false)
	a.publish(t, "f", asked{"a", 1})
	a.stop()
	a = p.run(t, path, true)
	a.publish(t, "f", asked{"a", 3}, asked{"a", 4})
	letters, err := a.j.Reader().DeadLetters(t.Context(), sqlite.DeadLetterFilter{})
	if err != nil || len(letters) != 2 {
		t.Fatalf("%+v, %v", letters, err)
	}
	slices.SortFunc(letters, func(x, y journal.DeadLetter) int { return int(x.Event.Seq - y.Event.Seq) })
	drop := func(i int) {
		t.Helper()
		act := sqlite.Act{Reason: "test", Select: sqlite.DeadLetterFilter{IDs: []int64{letters[i].ID}}}
		if _, err := sqlite.Drop(t.Context(), path, act); err != nil {
			t.Fatal(err)
		}
	}
	drop(0)
	// The owner has taken the act up when it has seen an event that was committed behind it.
	taken := errors.New("taken up")
	MustExec(t, path, "INSERT INTO events (id, type, time, correlation_id, data) VALUES ('marker', 'test.marker', 0, 'marker', x'')")
	if err := a.j.Follow(t.Context(), 0, func(*journal.Event) error { return taken }, "test.marker"); !errors.Is(err, taken) {
		t.Fatal(err)
	}
	a.wait(t)
	if got := p.of("a"); got != "" {
		t.Errorf("done while the key is parked: %s", got)
	}
	drop(1)
	for p.of("a") != "a4" {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the key was not released")
		}
	}
}
