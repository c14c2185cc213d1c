package bus_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// An attempt that a person has given up meanwhile commits nothing more, and its answer changes nothing.
func TestCommitOfAGivenUpDelivery(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	var a *app
	var before, after, inside error
	a = MustRunOn(t, path, bus.Config{Retry: fast}, func(m *bus.Module) {
		m.Emits(asked{}).ForOutside(answered{})
		bus.On(m, "call", func(ctx context.Context, e asked) (bus.Events, error) {
			begin := func(what string) error {
				return bus.Commit(ctx, func(ctx context.Context) error { return note(ctx, what, e.Key, e.N) })
			}
			if bus.Delivery(ctx).Attempt == 1 {
				return nil, errors.Join(begin("first"), errPlanned)
			}
			before = begin("before")
			inside = giveUp(t, path, "test/call")
			after = begin("after")
			return bus.Emit(answered(e)), nil
		}).Emits(answered{}).External(1)
	})
	a.publish(t, asked{"a", 1})
	if before != nil || inside != nil {
		t.Errorf("commit before: %v; the person: %v", before, inside)
	}
	if !errors.Is(after, journal.ErrAbandoned) {
		t.Errorf("commit after: %v", after)
	}
	wantStrings(t, "rows", a.strings(t, "SELECT name FROM test_seen ORDER BY rowid"), "first", "before")
	wantStrings(t, "outcomes", a.outcomes(t, "test/call"), "dropped/1")
	wantStrings(t, "events", a.strings(t, "SELECT type FROM events"), "test.asked")
}

// giveUp drops what a subscription has open, as people do with one that is removed.
func giveUp(t *testing.T, path, subscription string) error {
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=10000")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("UPDATE subscriptions SET retired_at = 1 WHERE name = ?", subscription); err != nil {
		return err
	}
	_, err = sqlite.DropOpen(t.Context(), path, sqlite.OpenAct{Subscription: subscription})
	return err
}
