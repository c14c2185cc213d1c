package bustest_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
)

// The journal runs a unit of work again when its group has to be written again: what was appended is there twice.
func TestAppendInAUnitOfWork(t *testing.T) {
	t.Parallel()
	sys := mistake(func(*bus.Module, *bustest.World) {})
	scenario := func(fresh bool) func(app *bustest.App[stall]) {
		return func(app *bustest.App[stall]) {
			var ids []string
			app.Must("note", func(ctx context.Context, s stall) error {
				_, err := s.Do(ctx, func(ctx context.Context) (bus.Events, error) {
					if fresh {
						ids = nil
					}
					ids = append(ids, "one")
					return nil, nil
				})
				return err
			})
			if len(ids) != 1 {
				app.T().Errorf("%d ids", len(ids))
			}
		}
	}
	wantFound(t, explored(t, sys, bustest.Exploration{Without: bustest.Crashes}, scenario(false)), "2 ids")
	if f := explored(t, sys, bustest.Exploration{}, scenario(true)); len(f.Wrong) > 0 {
		t.Errorf("false alarm: %v", f)
	}
}

// A client that takes every error for "not done" is right where the store refuses, and places nothing twice.
func TestTheStoreRefuses(t *testing.T) {
	t.Parallel()
	sys := mistake(called(func(_ context.Context, _ opened, err error) (bus.Events, error) { return nil, err }))
	f := explored(t, sys, bustest.Exploration{Without: bustest.Crashes | bustest.Twice | bustest.Troubles}, func(app *bustest.App[stall]) { open(app, "a", "b") })
	if len(f.Wrong) > 0 {
		t.Errorf("false alarm: %v", f)
	}
	// A handler that counts its runs in memory does not survive a commit that is refused.
	runs := mistake(func(m *bus.Module, _ *bustest.World) {
		n := 0
		bus.On(m, "count", func(ctx context.Context, e opened) (bus.Events, error) {
			n++
			return nil, insert(ctx, "run", n)
		})
	})
	x := bustest.Exploration{Same: rows, Without: bustest.Crashes | bustest.Twice | bustest.Again | bustest.Pauses}
	f = explored(t, runs, x, func(app *bustest.App[stall]) { open(app, "a") })
	wantFound(t, f, "the final state depends on the schedule")
	if len(f.Story) != 1 || f.Story[0] != "shop/count of shop.opened a: the store refuses the commit" {
		t.Errorf("story %q", f.Story)
	}
}

// What a handler must not do with the journal fails its attempt, and shows as a dead letter: no test hangs.
func TestHandlersThatReachForTheJournal(t *testing.T) {
	t.Parallel()
	for want, handle := range map[string]func(m *bus.Module, ctx context.Context) (bus.Events, error){
		"nested unit of work": func(m *bus.Module, _ context.Context) (bus.Events, error) {
			_, err := m.Publish(context.Background(), closed{"a"})
			return nil, err
		},
		"nested": func(m *bus.Module, ctx context.Context) (bus.Events, error) { // a number that was seen without the own rows
			return nil, m.View(ctx, func(bus.SQL) error { return nil })
		},
		"the work called Tx.Rollback": func(_ *bus.Module, ctx context.Context) (bus.Events, error) {
			tx := bus.Tx(ctx).(*sql.Tx)
			defer func() { _ = tx.Rollback() }() //troupe:allow rollback the mistake of the test
			return nil, insert(ctx, "row", 1)
		},
	} {
		sys := mistake(func(m *bus.Module, _ *bustest.World) {
			bus.On(m, "reach", func(ctx context.Context, _ opened) (bus.Events, error) { return handle(m, ctx) })
		})
		wantFound(t, explored(t, sys, bustest.Exploration{}, func(app *bustest.App[stall]) { open(app, "a") }), want)
	}
}
