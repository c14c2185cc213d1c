package sqlite

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// TestAFeedOfEachTopic: each has its own position, which is kept, the relay as a whole is as far as the last of them,
// and what is to be sent again is sent to all.
func TestAFeedOfEachTopic(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	run := func(fn func(j *Journal, a, b journal.Feed)) {
		t.Helper()
		j, err := Open(t.Context(), path, Config{})
		if err != nil {
			t.Fatal(err)
		}
		fn(j, mustFeed(t, j, journal.SentTo("a")), mustFeed(t, j, journal.SentTo("b")))
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := func(name string, f journal.Feed, want ...string) int64 {
		t.Helper()
		got, last := mustNext(t, f, 10)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", name, got, want)
		}
		return last
	}
	run(func(j *Journal, a, b journal.Feed) {
		mustAppend(t, j, plain("1"), plain("2"), plain("3"))
		b.Passed(want("b", b, "1", "2", "3"))
		want("a", a, "1", "2", "3")
		a.Passed(1)
		if a.Lag() != 2 || b.Lag() != 0 {
			t.Errorf("a is behind by %d, b by %d", a.Lag(), b.Lag())
		}
	})
	run(func(j *Journal, a, b journal.Feed) { // a stands still
		mustAppend(t, j, plain("4"))
		want("a", a, "2", "3", "4")
		b.Passed(want("b", b, "4"))
	})
	if n, err := Resend(t.Context(), path, time.Time{}); err != nil || n != 4 {
		t.Errorf("%d events are to be sent again, %v", n, err)
	}
	run(func(_ *Journal, a, b journal.Feed) {
		a.Passed(want("a", a, "1", "2", "3", "4"))
		b.Passed(want("b", b, "1", "2", "3", "4"))
	})
	run(func(j *Journal, a, b journal.Feed) {
		mustAppend(t, j, plain("5"))
		want("a", a, "5")
		want("b", b, "5")
		c := mustFeed(t, j, journal.SentTo("c")) // a topic that is new is sent what the relay as a whole has not passed
		want("c", c, "5")
	})
}
