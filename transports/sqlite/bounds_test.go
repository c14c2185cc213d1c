package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// An error may be of any length: of a long one the beginning is kept, in all places, and how long it was.
func TestErrorsAreKeptInBounds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	a := MustRun(t, path, func(m *bus.Module) {
		bus.On(m, "fail", func(context.Context, asked) (bus.Events, error) {
			return nil, errors.New("at first " + strings.Repeat("x", 5<<20))
		})
		bus.On(m, "panic", func(context.Context, asked) (bus.Events, error) { panic(strings.Repeat("y", 5<<20)) })
	})
	if _, err := a.m.Publish(t.Context(), asked{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.stop()
	letters, err := MustRead(t, path).DeadLetters(t.Context(), sqlite.DeadLetterFilter{})
	if err != nil || len(letters) != 2 {
		t.Fatalf("%d dead letters, %v", len(letters), err)
	}
	for _, l := range letters {
		if len(l.Error) > journal.MaxError || !strings.Contains(l.Error, "cut: it has 52428") || len(l.Stack) > journal.MaxStack {
			t.Errorf("%s: an error of %d bytes that ends with %q, a stack of %d", l.Subscription, len(l.Error), l.Error[max(len(l.Error)-40, 0):], len(l.Stack))
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
		t.Errorf("the file: %v, %v", info.Size(), err)
	}
}
