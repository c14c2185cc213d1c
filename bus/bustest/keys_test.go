package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// unitOf returns the key and the body under which an order is placed.
type unitOf func(ctx context.Context, customer, item string) bus.Unit

// fourOrders places orders of two customers, of whom one orders the same twice, and checks the answers and the rows.
func fourOrders(unit unitOf) func(app *bustest.App[stall]) {
	return func(app *bustest.App[stall]) {
		numbers := map[int]bool{}
		for _, o := range [][2]string{{"al", "mug"}, {"bo", "mug"}, {"al", "mug"}, {"al", "cup"}} {
			n := 0
			app.Must("order", func(ctx context.Context, s stall) (err error) {
				n, _, err = bus.Do(ctx, s.Module, unit(ctx, o[0], o[1]), func(ctx context.Context) (n int, e bus.Events, err error) {
					err = bus.Tx(ctx).QueryRowContext(ctx, "SELECT count(*) + 1 FROM shop_rows").Scan(&n)
					return n, bus.Emit(closed{o[0]}), errors.Join(err, insert(ctx, o[0]+" "+o[1], n))
				})
				return err
			})
			numbers[n] = true
		}
		if len(numbers) != 4 || !numbers[1] || !numbers[4] {
			app.T().Errorf("four orders have the numbers %v", numbers)
		}
	}
}

// counting are orders of which there must be four.
func counting() bustest.System[stall] {
	sys := mistake(func(*bus.Module, *bustest.World) {})
	sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, _ *bustest.World) (wrong []string, err error) {
		n := 0
		err = tables("shop").QueryRowContext(ctx, "SELECT count(*) FROM shop_rows").Scan(&n)
		if n != 4 {
			wrong = append(wrong, fmt.Sprintf("%d orders, want 4", n))
		}
		return wrong, err
	}
	return sys
}

// A client that asks again has the answer of its first request, whether the process died or the answer was lost. A
// client without a key, with a body that is another each time, or with a key of other requests is found.
func TestKeysOfRequests(t *testing.T) {
	t.Parallel()
	right := fourOrders(func(ctx context.Context, customer, item string) bus.Unit {
		return bus.Unit{Key: bustest.Key(ctx), Body: customer + item}
	})
	noAlarm(t, counting(), bustest.Exploration{With: allParts}, right)
	for want, unit := range map[string]unitOf{
		"5 orders, want 4": func(context.Context, string, string) bus.Unit { return bus.Unit{} },
		"key of another request": func(ctx context.Context, _, _ string) bus.Unit {
			return bus.Unit{Key: bustest.Key(ctx), Body: rand.Uint64()}
		},
		"3 orders, want 4": func(_ context.Context, customer, item string) bus.Unit {
			return bus.Unit{Key: customer + item, Body: customer + item}
		},
	} {
		t.Run(want, func(t *testing.T) {
			wantFound(t, found(t, 100, counting(), bustest.Exploration{Without: bustest.Starts}, fourOrders(unit)), want)
		})
	}
}

// The lost answer of a unit under a key is a step of a schedule, without any crash.
func TestLostAnswersOfUnits(t *testing.T) {
	t.Parallel()
	x := bustest.Exploration{Without: bustest.Crashes | bustest.Starts}
	f := found(t, 100, counting(), x, fourOrders(func(ctx context.Context, _, _ string) bus.Unit {
		return bus.Unit{Key: bustest.Key(ctx), Body: rand.Uint64()}
	}))
	wantFound(t, f, "key of another request")
	if want := "order is done, but the answer is lost"; len(f.Story) != 1 || f.Story[0] != want {
		t.Errorf("story %q, want %q", f.Story, want)
	}
}

// careless is a store that answers a key whatever the body is: a bug.
type careless struct{ journal.Store }

func (c careless) Do(ctx context.Context, w journal.Work, run func(journal.TxFunc) ([]*journal.Event, error)) error {
	if w.Once != nil {
		w.Once.Digest = []byte("any")
	}
	return c.Store.Do(ctx, w, run)
}

// The kit finds a key that answers another body.
func TestKeyThatAnswersAnotherBody(t *testing.T) {
	t.Parallel()
	scenario := func(app *bustest.App[stall]) {
		for _, item := range []string{"mug", "cup"} {
			err := app.Act("order "+item, func(ctx context.Context, s stall) error {
				_, _, err := bus.Do(ctx, s.Module, bus.Unit{Key: "basket", Body: item}, func(ctx context.Context) (int, bus.Events, error) {
					return 0, nil, insert(ctx, item, 1)
				})
				return err
			})
			if refused := errors.Is(err, bus.ErrKeyReused); refused != (item == "cup") {
				app.T().Errorf("the key of the mug answers the order of the %s with: %v", item, err)
			}
		}
	}
	sys := mistake(func(*bus.Module, *bustest.World) {})
	noAlarm(t, sys, bustest.Exploration{With: allParts}, scenario)
	sys.Open = func(ctx context.Context, path string) (journal.Store, error) {
		store, err := sqlitetest.Open(ctx, path)
		return careless{store}, err
	}
	wantFound(t, found(t, 1, sys, bustest.Exploration{}, scenario), "the key of the mug answers the order of the cup with: <nil>")
}
