package bus_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/troupebus/troupe/bus"
)

type Left struct {
	Table string `json:"table"`
}

func (Left) EventType() string  { return "guest.left" }
func (e Left) EventKey() string { return e.Table }

// Events of one key reach a handler in their order, whatever their types: what is ordered is on the bill.
func ExampleOnEach() {
	open(func(r *restaurant) {
		r.guest.Emits(Left{})
		bus.OnEach(r.kitchen, "bill",
			bus.Of(func(ctx context.Context, e Ordered) (bus.Events, error) {
				_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO kitchen_dishes VALUES (?, ?)", e.Dish, e.Table)
				return nil, err
			}),
			bus.Of(func(ctx context.Context, e Left) (bus.Events, error) {
				var dishes int
				row := bus.Tx(ctx).QueryRowContext(ctx, "SELECT count(*) FROM kitchen_dishes WHERE guest = ?", e.Table)
				err := row.Scan(&dishes)
				fmt.Println(e.Table, "pays", dishes, "dishes")
				return nil, err
			}),
		)
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(ctx, Ordered{"table 1", "soup"}, Ordered{"table 1", "fish"}, Left{"table 1"})
		check(err)
	})
	// Output:
	// table 1 pays 2 dishes
}

func ExampleOnAll() {
	open(func(r *restaurant) {
		r.guest.ForOutside(Ordered{})
		bus.OnAll(r.kitchen, "audit", func(_ context.Context, e bus.Raw) (bus.Events, error) {
			fmt.Printf("%s of %s: %s\n", e.Type, e.Key, e.Data)
			return nil, nil
		}, "guest.*") // without a pattern: every event of the program
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(ctx, Ordered{"table 1", "soup"})
		check(err)
	})
	// Output:
	// guest.ordered of table 1: {"table":"table 1","dish":"soup"}
}

// A delayed event with a name can be replaced and cancelled. The time follows from the event that is handled, so a
// reaction that runs again, or hours late, plans the same.
func ExampleCancel() {
	open(func(r *restaurant) {
		r.guest.Emits(Left{})
		bus.OnEach(r.kitchen, "cook",
			bus.Of(func(ctx context.Context, e Ordered) (bus.Events, error) {
				ready := bus.Now(ctx).Add(time.Hour)
				return bus.Emit(bus.At(ready, Served(e)).Named("serve")), nil // replaces what the table ordered before
			}),
			bus.Of(func(_ context.Context, e Left) (bus.Events, error) {
				return bus.Emit(bus.Cancel("serve", e.Table)), nil
			}),
		).Emits(Served{})
	}, func(ctx context.Context, r *restaurant) {
		for _, events := range [][]bus.Event{{Ordered{"table 1", "soup"}, Ordered{"table 1", "fish"}}, {Left{"table 1"}}} {
			flow, err := r.guest.Publish(ctx, events...)
			check(err)
			check(r.Wait(ctx, flow))
			check(r.View(ctx, func(tx bus.SQL) error {
				var delayed int
				err := tx.QueryRowContext(ctx, "SELECT count(*) FROM delayed").Scan(&delayed)
				fmt.Println(delayed, "delayed")
				return err
			}))
		}
	})
	// Output:
	// 1 delayed
	// 0 delayed
}

// A reaction may run more than once: its times and ids are the same in every run.
func ExampleNewID() {
	open(func(r *restaurant) {
		first := ""
		bus.On(r.kitchen, "cook", func(ctx context.Context, e Ordered) (bus.Events, error) {
			id, now := bus.NewID(ctx), bus.Now(ctx)
			if first == "" {
				first = id
				return nil, errors.New("the oven is cold")
			}
			fmt.Println(id == first, now.Equal(bus.Delivery(ctx).Time))
			return nil, nil
		})
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(ctx, Ordered{"table 1", "soup"})
		check(err)
	})
	// Output:
	// true true
}

// The same request under the same key has the same answer, and is carried out once.
func ExampleDo() {
	open(func(r *restaurant) {
		bus.On(r.kitchen, "ignore", func(context.Context, Ordered) (bus.Events, error) { return nil, nil })
	}, func(ctx context.Context, r *restaurant) {
		reserve := func(key, table string) (number int, err error) {
			u := bus.Unit{Key: key, Body: table}
			number, _, err = bus.Do(ctx, r.kitchen, u, func(ctx context.Context) (int, bus.Events, error) {
				tx, number := bus.Tx(ctx), 0
				if _, err := tx.ExecContext(ctx, "INSERT INTO kitchen_dishes VALUES ('', ?)", table); err != nil {
					return 0, nil, err
				}
				err := tx.QueryRowContext(ctx, "SELECT count(*) FROM kitchen_dishes").Scan(&number)
				return number, nil, err
			})
			return number, err
		}
		fmt.Println(reserve("request-1", "table 1"))
		fmt.Println(reserve("request-1", "table 1")) // the client had no answer, and asks again
		_, err := reserve("request-1", "table 2")
		fmt.Println(errors.Is(err, bus.ErrKeyReused))
	})
	// Output:
	// 1 <nil>
	// 1 <nil>
	// true
}

// statusOf returns the HTTP status for an error of Do or Publish.
func statusOf(err error) int {
	switch {
	case err == nil:
		return http.StatusOK // done, and on disk
	case errors.Is(err, bus.ErrUnknown):
		return http.StatusServiceUnavailable // perhaps done: a client with an idempotency key asks again
	case errors.Is(err, bus.ErrElsewhere):
		return http.StatusMisdirectedRequest // not done: ask the process that runs the module
	case errors.Is(err, bus.ErrNotRunning), errors.Is(err, bus.ErrUnavailable):
		return http.StatusServiceUnavailable // not done: try again
	case errors.Is(err, bus.ErrKeyReused):
		return http.StatusUnprocessableEntity // not done: the key belongs to another request
	}
	return http.StatusInternalServerError // not done
}

func Example_errors() {
	b := bus.New(nil, bus.Config{})
	_, err := b.Module("guest").Emits(Ordered{}).Publish(context.Background(), Ordered{"table 1", "soup"})
	fmt.Println(statusOf(err), err)
	// Output:
	// 503 bus: not running: call Run, and wait for Running
}

// Metadata of a request are on all events that follow from the request, in every process.
func ExampleWith() {
	open(func(r *restaurant) {
		bus.On(r.kitchen, "cook", func(_ context.Context, e Ordered) (bus.Events, error) {
			return bus.Emit(Served(e)), nil
		}).Emits(Served{})
		bus.On(r.guest, "eat", func(ctx context.Context, _ Served) (bus.Events, error) {
			fmt.Println(bus.Delivery(ctx).Metadata("tenant"))
			return nil, nil
		})
	}, func(ctx context.Context, r *restaurant) {
		_, err := r.guest.Publish(bus.With(ctx, "tenant", "acme"), Ordered{"table 1", "soup"})
		check(err)
	})
	// Output:
	// acme
}

// A caller waits for the reactions to a flow. Wait does not wait for delayed events.
func ExampleBus_Wait() {
	open(func(r *restaurant) {
		bus.On(r.kitchen, "cook", func(_ context.Context, e Ordered) (bus.Events, error) {
			fmt.Println("cooked")
			return nil, nil
		})
	}, func(ctx context.Context, r *restaurant) {
		flow, err := r.guest.Publish(ctx, Ordered{"table 1", "soup"})
		check(err)
		check(r.Wait(ctx, flow))
		fmt.Println("all have reacted")
	})
	// Output:
	// cooked
	// all have reacted
}

// DBTX is the interface that sqlc writes for its queries.
type DBTX interface {
	ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...interface{}) *sql.Row
}

// Queries is as sqlc writes the type.
type Queries struct{ db DBTX }

func (q *Queries) AddDish(ctx context.Context, dish, guest string) error {
	_, err := q.db.ExecContext(ctx, "INSERT INTO kitchen_dishes VALUES (?, ?)", dish, guest)
	return err
}

func ExampleSQL() {
	open(func(r *restaurant) {
		bus.On(r.kitchen, "cook", func(ctx context.Context, e Ordered) (bus.Events, error) {
			q := &Queries{bus.Tx(ctx)} // with sqlc: New(bus.Tx(ctx))
			return nil, q.AddDish(ctx, e.Dish, e.Table)
		})
	}, func(ctx context.Context, r *restaurant) {
		flow, err := r.guest.Publish(ctx, Ordered{"table 1", "soup"})
		check(err)
		check(r.Wait(ctx, flow))
		check(r.View(ctx, func(tx bus.SQL) error {
			var dish string
			err := tx.QueryRowContext(ctx, "SELECT dish FROM kitchen_dishes").Scan(&dish)
			fmt.Println(dish)
			return err
		}))
	})
	// Output:
	// soup
}
