package bench

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	reactions  = 5  // of a flow; each emits an event
	publishers = 64 // at a time
)

// order is what every event of the flow carries.
type order struct {
	OrderID  string `json:"order_id"`
	Customer string `json:"customer"`
	Note     string `json:"note"`
	Lines    int64  `json:"lines"`
	Total    int64  `json:"total_cents"`
}

var note = strings.Repeat("ring twice; ", 8)

const orderPrefix = "order-"

// newOrder is the n-th order; all are equally long when encoded.
func newOrder(n int64) order {
	return order{
		OrderID: fmt.Sprintf("%s%09d", orderPrefix, n), Customer: fmt.Sprintf("customer-%05d", n%100_000), Note: note,
		Lines: 1 + n%9, Total: 100_000 + n%800_000,
	}
}

// EventKey keeps the events of an order in order.
func (o order) EventKey() string { return o.OrderID }

func (o order) content() order { return o }

// The events of a flow, in their order.
type (
	placed     struct{ order }
	reserved   struct{ order }
	charged    struct{ order }
	dispatched struct{ order }
	completed  struct{ order }
	told       struct{ order }
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
func (told) EventType() string { return "bench.told" }

// schema is that of each module, in a folder of its name.
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

// insertRow returns the statement by which a reaction of module writes its row.
func insertRow(module string) string {
	return "INSERT INTO " + module + "_rows (step, order_id, total) VALUES (?, ?, ?)"
}

// gate limits the flows that are under way. The nil gate does not.
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

// leave is called by the last reaction of a flow. One that runs a second time, after a rollback, must not wait.
func (g gate) leave() {
	select {
	case <-g:
	default:
	}
}

// ends counts flows that have ended, each once, however often its last reaction runs.
type ends struct {
	seen    []atomic.Bool // by the order's number
	ended   atomic.Int64
	goal    atomic.Int64
	reached chan struct{} // of capacity 1
}

// newEnds is for the flows of so many orders, from the first on.
func newEnds(orders int64) *ends {
	return &ends{seen: make([]atomic.Bool, orders), reached: make(chan struct{}, 1)}
}

// expect is called before so many more flows begin.
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

// wait returns when all flows that are expected have ended, or with ctx's error.
func (e *ends) wait(ctx context.Context) error {
	select {
	case <-e.reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// load is orders to publish: n of them, from the first on.
type load struct{ first, n int64 }

// publish has all publishers publish l, each taking the next order when its last publish has returned. It
// returns the first error.
func (l load) publish(ctx context.Context, g gate, publish func(context.Context, order) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var taken atomic.Int64
	var all sync.WaitGroup
	for range publishers {
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
