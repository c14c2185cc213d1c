package work

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Numbers of every flow and every side.
const (
	Reactions  = 5  // of a flow; each reaction emits an event
	Publishers = 64 // at a time
)

// order is the payload of every event of the flow.
type order struct {
	OrderID  string `json:"order_id"`
	Customer string `json:"customer"`
	Note     string `json:"note"`
	Lines    int64  `json:"lines"`
	Total    int64  `json:"total_cents"`
}

var note = strings.Repeat("ring twice; ", 8)

const orderPrefix = "order-"

// newOrder returns order number n. All orders have the same length when encoded.
func newOrder(n int64) order {
	return order{
		OrderID: fmt.Sprintf("%s%09d", orderPrefix, n), Customer: fmt.Sprintf("customer-%05d", n%100_000), Note: note,
		Lines: 1 + n%9, Total: 100_000 + n%800_000,
	}
}

// EventKey returns the order's id, so that the events of an order stay in order.
func (o order) EventKey() string { return o.OrderID }

func (o order) content() order { return o }

// The events of a flow, in order.
type (
	placed     struct{ order }
	reserved   struct{ order }
	charged    struct{ order }
	dispatched struct{ order }
	completed  struct{ order }
	notified   struct{ order }
)

// EventType returns "bench.placed".
func (placed) EventType() string { return "bench.placed" }

// EventType returns "bench.reserved".
func (reserved) EventType() string { return "bench.reserved" }

// EventType returns "bench.charged".
func (charged) EventType() string { return "bench.charged" }

// EventType returns "bench.dispatched".
func (dispatched) EventType() string { return "bench.dispatched" }

// EventType returns "bench.completed".
func (completed) EventType() string { return "bench.completed" }

// EventType returns "bench.told".
func (notified) EventType() string { return "bench.told" }

// schema has the migrations of each module, in a folder with the module's name.
//
//go:embed schema
var schema embed.FS

// tablesOf returns the migrations of module.
func tablesOf(module string) fs.FS {
	sub, err := fs.Sub(schema, "schema/"+module)
	if err != nil {
		panic(err) // the names are constants
	}
	return sub
}

// insertRow returns the statement with which a reaction of module writes a row.
func insertRow(module string) string {
	return "INSERT INTO " + module + "_rows (step, order_id, total) VALUES (?, ?, ?)"
}

// gate limits the flows in flight. The nil gate has no limit.
type gate chan struct{}

func newGate(limit int) gate {
	if limit == 0 {
		return nil
	}
	return make(gate, limit)
}

func (g gate) enter(ctx context.Context) {
	if g == nil {
		return
	}
	select {
	case g <- struct{}{}:
	case <-ctx.Done():
	}
}

// leave is called by the last reaction of a flow. It never waits, because the reaction may run again after a
// rollback.
func (g gate) leave() {
	select {
	case <-g:
	default:
	}
}

// ends counts ended flows, each once, even when the last reaction runs again.
type ends struct {
	seen    []atomic.Bool // by the order's number
	ended   atomic.Int64
	goal    atomic.Int64
	reached chan struct{} // capacity 1
}

// newEnds returns the counter for the orders from 0 to orders-1.
func newEnds(orders int64) *ends {
	return &ends{seen: make([]atomic.Bool, orders), reached: make(chan struct{}, 1)}
}

// expect adds the number of flows that will begin.
func (e *ends) expect(flows int64) { e.goal.Add(flows) }

func (e *ends) note(o order) {
	n, err := strconv.Atoi(o.OrderID[len(orderPrefix):])
	if err != nil || e.seen[n].Swap(true) {
		return
	}
	if e.ended.Add(1) == e.goal.Load() {
		e.reached <- struct{}{}
	}
}

// wait waits until all expected flows have ended. It returns the cause of ctx when ctx ends first.
func (e *ends) wait(ctx context.Context) error {
	select {
	case <-e.reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// load is n orders to publish, from number first on.
type load struct{ first, n int64 }

// publish publishes l with all publishers. Each publisher takes the next order when its last publish has returned.
// publish returns the first error.
func (l load) publish(ctx context.Context, g gate, publish func(context.Context, order) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var taken atomic.Int64
	var all sync.WaitGroup
	for range Publishers {
		all.Go(func() {
			for i := taken.Add(1) - 1; i < l.n && ctx.Err() == nil; i = taken.Add(1) - 1 {
				g.enter(ctx)
				if err := publish(ctx, newOrder(l.first+i)); err != nil {
					cancel(fmt.Errorf("publish: %w", err))
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// PayloadBytes returns the length of an encoded event.
func PayloadBytes() (int, error) {
	data, err := json.Marshal(newOrder(1))
	return len(data), err
}
