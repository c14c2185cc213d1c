package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/inspect"
	"github.com/troupebus/troupe/transports/sqlite"
)

// MustRunPost runs a post office with one subscription on the journal at path until stop.
func MustRunPost(tb testing.TB, path, subscription string, handle func(parcel) error) (m *bus.Module, stop func()) {
	tb.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := sqlite.Open(tb.Context(), path, sqlite.Config{Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	b := bus.New(j, bus.Config{Logger: quiet})
	m = b.Module("post").Emits(parcel{})
	bus.On(m, subscription, func(_ context.Context, e parcel) (bus.Events, error) { return nil, handle(e) })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	<-b.Running()
	return m, func() {
		cancel()
		if err := errors.Join(<-ended, j.Close()); err != nil {
			tb.Error(err)
		}
	}
}

func TestDLQRetry(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "post.db")
	var attempts atomic.Int32
	again := make(chan struct{}, 10)
	m, stop := MustRunPost(t, path, "deliver", func(parcel) error {
		again <- struct{}{}
		if attempts.Add(1) == 1 {
			return bus.RetryAfter(24*time.Hour, errors.New("closed until tomorrow"))
		}
		return nil
	})
	defer stop()
	if _, err := m.Publish(t.Context(), parcel{"a", 1}); err != nil {
		t.Fatal(err)
	}
	<-again
	dlq := func(args ...string) ranCommand {
		return MustRunCommand(t, inspect.NewDLQCmd, append(args, "--journal", path)...)
	}
	wantOutput(t, dlq("retry"), console.ExitUsage, "are chosen")
	wantOutput(t, dlq("retry", "--key", "b"), console.ExitWrong, "none waits for an attempt that is still to come")
	for dlq("retry", "--key", "a", "--reason", "open again").err != nil { // until the first failure is on disk
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("nothing waits")
		}
	}
	<-again
}

func TestDLQOfARemovedSubscription(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "post.db")
	failed := make(chan struct{}, 10)
	m, stop := MustRunPost(t, path, "deliver", func(e parcel) error {
		defer func() { failed <- struct{}{} }()
		if e.N == 1 {
			return bus.Dead(errors.New("nobody is there"))
		}
		return bus.RetryAfter(24*time.Hour, errors.New("closed until tomorrow"))
	})
	if _, err := m.Publish(t.Context(), parcel{"a", 1}, parcel{"b", 2}); err != nil {
		t.Fatal(err)
	}
	<-failed
	<-failed
	stop()
	MustChange(t, path, "UPDATE subscriptions SET retired_at = 1 WHERE name = 'post/deliver'") // as an older version did
	_, stop = MustRunPost(t, path, "carry", func(parcel) error { return nil })
	stop()
	dlq := func(args ...string) ranCommand {
		return MustRunCommand(t, inspect.NewDLQCmd, append(args, "--journal", path)...)
	}
	wantOutput(t, dlq("replay", "1"), console.ExitWrong, "subscription is removed", "has no post/deliver: drop the dead letter")
	wantOutput(t, dlq("replay", "--all"), console.ExitWrong, "1 dead letter of post/deliver: not replayed", "dlq drop --subscription post/deliver")
	wantOutput(t, dlq("retry", "--all"), console.ExitWrong, "none waits for an attempt that is still to come")
	wantOutput(t, dlq("drop", "--reason", "removed"), console.ExitUsage, "are chosen")
	wantOutput(t, dlq("drop", "--subscription", "post/deliver", "--reason", "removed"), 0, "1 dead letter: dropped", "1 open event: dropped")
	wantOutput(t, MustRunCommand(t, audit.NewVerifyCmd, "--journal", path), 0)
}
