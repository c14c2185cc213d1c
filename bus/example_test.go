package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Contracts: a fact is a struct with a written identity and a key.

type Ordered struct {
	Table string `json:"table"`
	Dish  string `json:"dish"`
}

func (Ordered) EventType() string  { return "guest.ordered" } // written once, never changed
func (e Ordered) EventKey() string { return e.Table }         // what one table orders stays in order

type Served struct {
	Table string `json:"table"`
	Dish  string `json:"dish"`
}

func (Served) EventType() string  { return "kitchen.served" }
func (e Served) EventKey() string { return e.Table }

var kitchenTables = fstest.MapFS{"0001_dishes.sql": {Data: []byte(
	"CREATE TABLE kitchen_dishes (dish TEXT NOT NULL, guest TEXT NOT NULL) STRICT")}}

// restaurant is what the examples run on: two modules, of which each example wires what it is about.
type restaurant struct {
	*bus.Bus
	guest, kitchen *bus.Module
}

// open runs a restaurant on a new journal, calls use, and closes it.
func open(wire func(r *restaurant), use func(ctx context.Context, r *restaurant)) {
	dir, err := os.MkdirTemp("", "troupe")
	check(err)
	defer func() { check(os.RemoveAll(dir)) }()
	ctx, cancel := context.WithCancel(context.Background())
	logger := slog.New(slog.DiscardHandler)
	j, err := sqlite.Open(ctx, filepath.Join(dir, "restaurant.db"), sqlite.Config{Logger: logger})
	check(err)
	b := bus.New(j, bus.Config{Logger: logger, Retry: bus.Retry{First: time.Millisecond}})
	r := &restaurant{Bus: b, guest: b.Module("guest"), kitchen: b.Module("kitchen")}
	r.guest.Emits(Ordered{})
	r.kitchen.Migrations(kitchenTables).Emits(Served{}).ForOutside(Served{})
	wire(r)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-b.Running():
		use(ctx, r)
		check(b.Quiet(ctx))
	case err := <-ended:
		check(err)
	}
	cancel()
	check(<-ended)
	check(j.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func Example() {
	open(func(r *restaurant) {
		bus.On(r.kitchen, "cook", func(ctx context.Context, e Ordered) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO kitchen_dishes VALUES (?, ?)", e.Dish, e.Table)
			if err != nil {
				return nil, err
			}
			return bus.Emit(Served(e)), nil // the row, the event and the record that this ran are one commit
		}).Emits(Served{})

		bus.On(r.guest, "eat", func(_ context.Context, e Served) (bus.Events, error) {
			fmt.Println(e.Table, "eats", e.Dish)
			return nil, nil
		})
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(ctx, Ordered{"table 1", "soup"}, Ordered{"table 1", "fish"})
		check(err)
	})
	// Output:
	// table 1 eats soup
	// table 1 eats fish
}

func ExampleModule_Do() {
	open(func(r *restaurant) {
		bus.On(r.guest, "eat", func(_ context.Context, e Served) (bus.Events, error) {
			fmt.Println(e.Table, "eats", e.Dish)
			return nil, nil
		})
		bus.On(r.kitchen, "ignore", func(context.Context, Ordered) (bus.Events, error) { return nil, nil })
	}, func(ctx context.Context, r *restaurant) {
		flow, err := r.kitchen.Do(bus.Correlate(ctx, "evening-7"), func(ctx context.Context) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO kitchen_dishes VALUES ('bread', 'table 2')")
			return bus.Emit(Served{"table 2", "bread"}), err
		})
		fmt.Println("flow", flow, err)
		_, err = r.kitchen.Do(ctx, func(ctx context.Context) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO kitchen_dishes VALUES ('nothing', 'table 2')")
			return nil, errors.Join(err, errors.New("out of flour")) // undoes the row
		})
		fmt.Println(err)
		check(r.View(ctx, func(tx bus.SQL) error {
			var dishes int
			err := tx.QueryRowContext(ctx, "SELECT count(*) FROM kitchen_dishes").Scan(&dishes)
			fmt.Println(dishes, "dish")
			return err
		}))
	})
	// Unordered output:
	// flow evening-7 <nil>
	// table 2 eats bread
	// out of flour
	// 1 dish
}

// A handler that calls the outside world runs without a transaction, and may be called again after a crash: Info.ID is the idempotency key
// that it passes on.
func ExampleHandler_External() {
	open(func(r *restaurant) {
		bus.On(r.kitchen, "deliver", func(ctx context.Context, e Ordered) (bus.Events, error) {
			err := bus.Commit(ctx, func(ctx context.Context) error { // before the call: that it is about to be made
				_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO kitchen_dishes VALUES ('courier', ?)", e.Table)
				return err
			})
			if err != nil {
				return nil, err
			}
			fmt.Println("courier called under a key of its own:", bus.Delivery(ctx).ID != "")
			return bus.Emit(Served(e)).Also(func(ctx context.Context) error { // with the answer
				_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO kitchen_dishes VALUES (?, ?)", e.Dish, e.Table)
				return err
			}), nil
		}).Emits(Served{}).External(4).Timeout(5 * time.Second)
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(ctx, Ordered{"table 3", "pizza"})
		check(err)
	})
	// Output:
	// courier called under a key of its own: true
}

func ExampleHandler_When() {
	open(func(r *restaurant) {
		bus.On(r.kitchen, "cook-fish", func(_ context.Context, e Ordered) (bus.Events, error) {
			fmt.Println("fish for", e.Table)
			return nil, nil
		}).When(func(e Ordered) bool { return e.Dish == "fish" })
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(ctx, Ordered{"table 1", "soup"}, Ordered{"table 2", "fish"})
		check(err)
	})
	// Output:
	// fish for table 2
}

// What a handler's error means is up to it: tried again by itself, or Dead, RetryAfter, Drop.
func ExampleRetryAfter() {
	open(func(r *restaurant) {
		bus.On(r.kitchen, "cook", func(ctx context.Context, e Ordered) (bus.Events, error) {
			attempt := bus.Delivery(ctx).Attempt
			switch {
			case e.Dish == "unicorn":
				return nil, bus.Dead(errors.New("there is no such dish"))
			case e.Dish == "air":
				return nil, bus.Drop("nothing to do")
			case attempt == 1:
				return nil, bus.RetryAfter(5*time.Millisecond, errors.New("the oven is cold"))
			}
			fmt.Println(e.Dish, "at attempt", attempt)
			return nil, nil
		}).Retry(bus.Retry{Attempts: 3}).ParkKey()
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(ctx, Ordered{"table 1", "unicorn"}, Ordered{"table 2", "air"}, Ordered{"table 3", "soup"})
		check(err)
		check(r.Quiet(ctx))
		check(r.View(ctx, func(tx bus.SQL) error {
			var reason string
			err := tx.QueryRowContext(ctx, "SELECT error FROM dead_letters").Scan(&reason)
			fmt.Println("dead:", reason)
			return err
		}))
	})
	// Output:
	// soup at attempt 2
	// dead: there is no such dish
}

// A delayed event is stored with the commit, and survives restarts.
func ExampleAfter() {
	served := make(chan string)
	open(func(r *restaurant) {
		bus.On(r.kitchen, "bake", func(_ context.Context, e Ordered) (bus.Events, error) {
			return bus.Emit(bus.After(20*time.Millisecond, Served(e))), nil
		}).Emits(Served{})
		bus.On(r.guest, "eat", func(_ context.Context, e Served) (bus.Events, error) {
			served <- e.Dish
			return nil, nil
		}).External(1)
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(ctx, Ordered{"table 1", "bread"})
		check(err)
		fmt.Println(<-served)
	})
	// Output:
	// bread
}

// All mistakes in the wiring are found before anything runs.
func ExampleBus_Check() {
	b := bus.New(nil, bus.Config{})
	kitchen := b.Module("kitchen").Emits(Served{})
	bus.On(kitchen, "cook", func(context.Context, Ordered) (bus.Events, error) { return nil, nil })
	err := b.Check()
	fmt.Println(errors.Is(err, bus.ErrWiring))
	fmt.Println(err)
	// Output:
	// true
	// bus: wiring: 2 mistakes:
	// bus/example_test.go:229: subscription "kitchen/cook" consumes "guest.ordered", which no module declares to emit: add the event to Emits
	// bus/example_test.go:228: event type "kitchen.served", emitted by module kitchen, has no consumer: if intended, mark the event with ForOutside
}
