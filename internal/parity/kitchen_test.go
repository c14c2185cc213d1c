package parity

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// A kitchen: the waiter takes orders for a table, the cook cooks them in order, and later gets a reminder to clean
// up.
type (
	ordered  struct{ Table, Dish string }
	cooked   struct{ Table, Dish string }
	reminded struct{ Table string }
)

func (ordered) EventType() string   { return "waiter.ordered" }
func (e ordered) EventKey() string  { return e.Table }
func (cooked) EventType() string    { return "cook.cooked" }
func (e cooked) EventKey() string   { return e.Table }
func (reminded) EventType() string  { return "cook.reminded" }
func (e reminded) EventKey() string { return e.Table }

type kitchen struct{ waiter *bus.Module }

// spoiled is a dish that the cook cannot cook.
const spoiled = "spoiled fish"

func kitchenSystem() bustest.System[kitchen] {
	dishes := func(table string) fstest.MapFS {
		return fstest.MapFS{"1.sql": {Data: []byte("CREATE TABLE " + table + " (guests TEXT, nth INTEGER, dish TEXT, PRIMARY KEY (guests, nth)) STRICT")}}
	}
	write := func(ctx context.Context, table string, e ordered) error { // in the order of the guests' own
		_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO "+table+" SELECT ?1, count(*) + 1, ?2 FROM "+table+" WHERE guests = ?1", e.Table, e.Dish)
		return err
	}
	return bustest.System[kitchen]{
		Open: sqlitetest.Open,
		Join: func(at func(string) kitchen) kitchen { return at("waiter") },
		Wire: func(b *bus.Bus, _ *bustest.World) kitchen {
			waiter := b.Module("waiter").Emits(ordered{}).Migrations(dishes("waiter_served"))
			cook := b.Module("cook").Migrations(dishes("cook_dishes"))
			bus.On(cook, "cook", func(ctx context.Context, e ordered) (bus.Events, error) {
				if e.Dish == spoiled {
					return nil, bus.Dead(errors.New("it smells"))
				}
				return bus.Emit(cooked(e), bus.After(300*time.Millisecond, reminded{e.Table})), write(ctx, "cook_dishes", e)
			}).Emits(cooked{}, reminded{}).ParkKey()
			bus.On(cook, "clean", func(context.Context, reminded) (bus.Events, error) { return nil, nil })
			bus.On(waiter, "serve", func(ctx context.Context, e cooked) (bus.Events, error) {
				return nil, write(ctx, "waiter_served", ordered(e))
			})
			return kitchen{waiter}
		},
	}
}

// A poisoned key waits, in order, until a person acts; every other key continues. Delayed events come when they are
// due.
func TestAPoisonedKeyAndDelayedEventsMeanTheSameInEveryShape(t *testing.T) {
	t.Parallel()
	parity(t, kitchenSystem(), []string{"waiter", "cook"}, func(app *bustest.App[kitchen]) {
		app.Expect("cook/cook")
		for _, e := range []ordered{{"1", "soup"}, {"1", spoiled}, {"1", "bread"}, {"1", "cake"}, {"2", "soup"}, {"2", "bread"}} {
			app.Must("a guest orders", func(ctx context.Context, k kitchen) error {
				_, err := k.waiter.Publish(bus.Correlate(ctx, "table "+e.Table), e)
				return err
			})
		}
		app.Quiet()
		app.Flow("table 2").AtLeast(cooked{Dish: "soup"}, cooked{Dish: "bread"}).InOrder(cooked{Dish: "soup"}, cooked{Dish: "bread"})
		app.Flow("table 1").AtLeast(cooked{Dish: "soup"}).Never(cooked{Dish: "bread"}, cooked{Dish: "cake"})
		app.Advance(time.Second)
		app.Quiet()
		app.Flow("table 2").AtLeast(reminded{}, reminded{})
		if n := blocked(app); n != 2 {
			app.T().Errorf("%d events wait behind the poisoned one, want 2", n)
		}
	})
}

func blocked(app *bustest.App[kitchen]) (n int) {
	flows, err := app.Flows()
	if err != nil {
		app.T().Fatal(err)
	}
	for _, f := range flows {
		n += f.Outcomes()[journal.Blocked]
	}
	return n
}
