package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// The events of the tests.
type (
	asked struct {
		Key string `json:"key"`
		N   int    `json:"n"`
	}
	answered struct {
		Key string `json:"key"`
		N   int    `json:"n"`
	}
)

func (asked) EventType() string     { return "test.asked" }
func (e asked) EventKey() string    { return e.Key }
func (answered) EventType() string  { return "test.answered" }
func (e answered) EventKey() string { return e.Key }

var tables = fstest.MapFS{"0001.sql": {Data: []byte("CREATE TABLE test_seen (name TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL) STRICT")}}

// app is a bus on a journal of its own.
type app struct {
	*bus.Bus
	m    *bus.Module
	j    *sqlite.Journal
	path string
	stop func()
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// MustRun wires a module called test, runs the bus, and stops it with the test.
func MustRun(tb testing.TB, cfg bus.Config, wire func(*bus.Module)) *app {
	tb.Helper()
	return MustRunOn(tb, filepath.Join(tb.TempDir(), "journal.db"), cfg, wire)
}

// MustRunOn does so on the journal at path.
func MustRunOn(tb testing.TB, path string, cfg bus.Config, wire func(*bus.Module)) *app {
	tb.Helper()
	return MustStart(tb, path, cfg, func(b *bus.Bus) *bus.Module {
		m := b.Module("test").Migrations(tables)
		wire(m)
		return m
	})
}

// MustStart runs what wire puts on a bus.
func MustStart(tb testing.TB, path string, cfg bus.Config, wire func(*bus.Bus) *bus.Module) *app {
	tb.Helper()
	cfg.Logger = quiet
	if cfg.ExternalRetry == (bus.Retry{}) {
		cfg.ExternalRetry = cfg.Retry
	}
	j, err := sqlite.Open(tb.Context(), path, sqlite.Config{Logger: quiet, Fence: func(string, string) {}})
	if err != nil {
		tb.Fatal(err)
	}
	b := bus.New(j, cfg)
	a := &app{Bus: b, j: j, path: path, m: wire(b)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-b.Running():
	case err := <-ended:
		_ = j.Close()
		tb.Fatal(err)
	}
	stopped := false
	a.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
		if err := j.Close(); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(a.stop)
	return a
}

// publish emits events and waits for quiet.
func (a *app) publish(tb testing.TB, events ...bus.Event) {
	tb.Helper()
	if _, err := a.m.Publish(tb.Context(), events...); err != nil {
		tb.Fatal(err)
	}
	a.wait(tb)
}

func (a *app) wait(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	if err := a.Quiet(ctx); err != nil {
		tb.Fatalf("not quiet: %v: %+v", err, a.j.Backlog())
	}
}

// note writes a row that tells that name saw key and n.
func note(ctx context.Context, name, key string, n int) error {
	_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO test_seen (name, key, n) VALUES (?, ?, ?)", name, key, n)
	return err
}

// seen reads the rows of name, "key:n" each, in the order in which they were written.
func (a *app) seen(tb testing.TB, name string) []string {
	tb.Helper()
	return a.strings(tb, "SELECT key || ':' || n FROM test_seen WHERE name = ? ORDER BY rowid", name)
}

// outcomes reads the deliveries of a subscription, "outcome/attempts" each, in the order of the log.
func (a *app) outcomes(tb testing.TB, subscription string) []string {
	tb.Helper()
	return a.strings(tb, `SELECT d.outcome || '/' || d.attempts FROM deliveries d JOIN subscriptions s ON s.id = d.subscription WHERE s.name = ? ORDER BY d.seq`, subscription)
}

func (a *app) strings(tb testing.TB, query string, args ...any) []string {
	tb.Helper()
	out := []string{}
	err := a.View(tb.Context(), func(tx bus.SQL) error {
		rows, err := tx.QueryContext(tb.Context(), query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			out = append(out, s)
		}
		return rows.Err()
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func wantStrings(tb testing.TB, what string, got []string, want ...string) {
	tb.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}

var errPlanned = errors.New("planned failure")

var fast = bus.Retry{First: time.Millisecond, Max: 5 * time.Millisecond, Attempts: 3}

var _ journal.Journal = (*sqlite.Journal)(nil)
