package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// shape is a way to run the program that opens and closes accounts.
type shape struct {
	apart    bool // the accounts are kept in a deployable of their own
	commits  bool // an account is opened and closed by two commits
	external bool // the bank is called, and each account is opened at the second attempt
	stop     bool // the system is stopped and crashes in between
	parts    bustest.Part
}

// shapes are the four shapes of TestAccounts.
var shapes = map[string]shape{
	"one process": {parts: allParts},
	"two commits": {commits: true, stop: true, parts: allParts},
	"split":       {apart: true, commits: true},
	"retries":     {external: true, parts: allParts},
}

// keeper handles both types in the module "keeper": in one handler, or in two that have no order between them.
func (s shape) keeper(m *bus.Module, w *bustest.World, inOrder bool) {
	open := func(ctx context.Context, e opened) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO keeper_accounts VALUES (?, 'open')", e.ID)
		return nil, err
	}
	shut := func(ctx context.Context, e closed) (bus.Events, error) { // no row is no error
		_, err := bus.Tx(ctx).ExecContext(ctx, "UPDATE keeper_accounts SET state = 'closed' WHERE id = ?", e.ID)
		return nil, err
	}
	parallel := 0
	if s.external {
		parallel = 4
		open, shut = atTheBank(w, "open", open), atTheBank(w, "close", shut)
	}
	var handlers []interface {
		External(parallel int) *bus.Handler[bus.Event]
	}
	if inOrder {
		handlers = append(handlers, bus.OnEach(m, "account", bus.Of(open), bus.Of(shut)))
	} else {
		handlers = append(handlers,
			bus.OnEach(m, "opened", bus.Of(open)).AnyOrder(), bus.OnEach(m, "closed", bus.Of(shut)).AnyOrder())
	}
	for _, h := range handlers {
		if parallel > 0 {
			h.External(parallel)
		}
	}
}

// atTheBank calls the bank before then writes. The first attempt to open fails.
func atTheBank[E bus.Event](
	w *bustest.World, op string, then func(context.Context, E) (bus.Events, error),
) func(context.Context, E) (bus.Events, error) {
	return func(ctx context.Context, e E) (bus.Events, error) {
		if op == "open" && bus.Delivery(ctx).Attempt == 1 {
			return nil, errors.New("the bank is closed")
		}
		r := bustest.Request{Op: op, Key: bus.Delivery(ctx).ID, Body: e.EventKey()}
		_, err := bustest.Ask(ctx, w.Service("bank"), r, func() (bool, error) { return true, nil })
		return bus.Emit().Also(func(ctx context.Context) error {
			_, err := then(ctx, e)
			return err
		}), err
	}
}

// system returns the program in shape s.
func (s shape) system(inOrder bool) bustest.System[*bus.Module] {
	sys := bustest.System[*bus.Module]{Open: sqlitetest.Open}
	sys.Wire = func(b *bus.Bus, w *bustest.World) *bus.Module {
		keeper := b.Module("keeper").Migrations(tables("keeper", "CREATE TABLE %s_accounts (id TEXT PRIMARY KEY, state TEXT NOT NULL)"))
		s.keeper(keeper, w, inOrder)
		return b.Module("shop").Emits(opened{}, closed{})
	}
	sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, w *bustest.World) (wrong []string, err error) {
		var all, open int
		err = tables("keeper").QueryRowContext(ctx, "SELECT count(*), coalesce(sum(state = 'open'), 0) FROM keeper_accounts").Scan(&all, &open)
		if open > 0 {
			wrong = append(wrong, fmt.Sprintf("%d closed accounts are open", open))
		}
		if all != accountsOpened {
			wrong = append(wrong, fmt.Sprintf("%d accounts, want %d", all, accountsOpened))
		}
		return wrong, err
	}
	if s.apart {
		sys.Deployables = [][]string{{"shop"}, {"keeper"}}
		sys.Join = func(at func(string) *bus.Module) *bus.Module { return at("shop") }
	}
	return sys
}

const accountsOpened = 3

// run opens and closes the accounts. A client that asks again has the same key.
func (s shape) run(app *bustest.App[*bus.Module]) {
	publish := func(key string, events ...bus.Event) {
		app.Must(key, func(ctx context.Context, m *bus.Module) error {
			_, _, err := bus.Do(ctx, m, bus.Unit{Key: key, Body: events}, func(context.Context) (int, bus.Events, error) {
				return 0, bus.Emit(events...), nil
			})
			return err
		})
	}
	for i := range accountsOpened {
		id := fmt.Sprint("account ", i)
		if !s.commits {
			publish("open and close "+id, opened{id, i}, closed{id})
			continue
		}
		publish("open "+id, opened{id, i})
		if s.stop && i == 0 {
			app.Crash()
			app.Restart()
		}
		publish("close "+id, closed{id})
	}
	app.Advance(time.Hour) // for the retries
}

// No closed account stays open, in whatever order things happen: make order runs each shape under 10,000 schedules.
// Two handlers, which declare that they have no order, leave some open.
func TestAccounts(t *testing.T) {
	t.Parallel()
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := bustest.Exploration{Schedules: many(t), With: s.parts}
			bustest.Explore(t, s.system(true), x, s.run)
			x.Schedules = 200
			f := bustest.Search(t, s.system(false), x, s.run)
			if got := strings.Join(f.Wrong, "\n"); !strings.Contains(got, "closed accounts are open") {
				t.Errorf("two handlers: found %q", got)
			}
			t.Logf("two handlers: schedule %d: %s", f.Schedules, strings.Join(f.Story, "; "))
		})
	}
}
