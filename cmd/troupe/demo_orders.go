package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/internal/shop/workload"
)

// patience is the time for which a late cancel waits until the gateway or the carrier is called about its order.
const patience = 2 * time.Second

// demo plays the customers of a plan. Customers place orders, some cancel, and some send goods back. All of their
// acts may be repeated: the repetition of an act from before a kill has no effect.
type demo struct {
	config demoConfig
	orders []workload.Order
	fates  map[string]workload.Fate
	late   map[string]lateCancel
	before map[string]order.Status // status of the orders that an earlier run placed
	placed atomic.Int64            // number of orders that this run and earlier runs placed
}

// lateCancel is an order that is cancelled after a number of external calls about the order. The first call is the
// charge: then the cancel overtakes the parcel. The second call is the dispatch: then the cancel comes too late.
type lateCancel struct {
	after int
	calls chan struct{} // gets a value for each call
}

func newDemo(c demoConfig) *demo {
	d := &demo{config: c, orders: workload.Plan(c.seed, c.orders), fates: map[string]workload.Fate{},
		late: map[string]lateCancel{}}
	for _, o := range d.orders {
		d.fates[o.ID] = o.Fate
		if o.Fate == workload.CancelLate {
			after := len(d.late)%2 + 1
			d.late[o.ID] = lateCancel{after: after, calls: make(chan struct{}, after)}
		}
	}
	return d
}

// world returns options of a gateway and a carrier that give every order its fate.
func (d *demo) world() *sim.Options {
	return &sim.Options{Seed: d.config.seed, Latency: d.config.latency, Silence: demoSilence, Rules: d.fate}
}

// fate returns the fate of an order, at each call about the order. It reports false for an order of another plan, which
// then goes well.
func (d *demo) fate(orderID string) (sim.Fate, bool) {
	planned, ok := d.fates[orderID]
	var f sim.Fate
	switch planned {
	case workload.Decline:
		f.Declined = "insufficient funds"
	case workload.Undeliverable:
		f.Undeliverable = "no such address"
	case workload.Flaky:
		f.Troubles = []sim.Trouble{sim.Transient, sim.LostAnswer, sim.Timeout}
	case workload.CancelLate:
		select {
		case d.late[orderID].calls <- struct{}{}:
		default: // the cancel waits for no more calls
		}
	}
	return f, ok
}

// done returns the progress as text.
func (d *demo) done() string {
	return fmt.Sprintf("%d of %d orders placed", d.placed.Load(), len(d.orders))
}

// work plays all customers. When work returns without an error, no reaction is left.
func (d *demo) work(ctx context.Context, s place) (placed int, err error) {
	var stock []handlers.Delivery
	for _, item := range workload.Stock(d.config.seed) {
		stock = append(stock, handlers.Delivery(item))
	}
	if _, err := s.stock.Receive(ctx, stock); err != nil {
		return 0, fmt.Errorf("receive the stock: %w", err)
	}
	if d.before, err = s.statuses(ctx); err != nil {
		return 0, err
	}
	var fresh atomic.Int64
	err = inParallel(ctx, d.orders, func(ctx context.Context, o workload.Order) error {
		isNew, err := d.place(ctx, s, o)
		if isNew {
			fresh.Add(1)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := s.bus.Quiet(ctx); err != nil {
		return 0, err
	}
	back := slices.DeleteFunc(slices.Clone(d.orders), func(o workload.Order) bool { return o.Fate != workload.Return })
	if err := inParallel(ctx, back, s.takeBack); err != nil {
		return 0, err
	}
	return int(fresh.Load()), s.bus.Quiet(ctx)
}

// statuses returns the status of every order.
func (s place) statuses(ctx context.Context) (map[string]order.Status, error) {
	all := map[string]order.Status{}
	err := s.bus.View(ctx, func(tx bus.SQL) error {
		return order.Each(ctx, tx, func(f order.Fact) error {
			all[f.OrderID] = f.Status
			return nil
		})
	})
	return all, err
}

// place places an order, and cancels the order if that is its fate. It reports whether the order is new.
func (d *demo) place(ctx context.Context, s place, o workload.Order) (fresh bool, err error) {
	defer d.placed.Add(1)
	if status, known := d.before[o.ID]; known && status != order.StatusPlaced {
		return false, nil // an earlier run has placed and maybe cancelled the order
	}
	n := order.New{ID: o.ID, CustomerID: o.CustomerID}
	for _, l := range o.Lines {
		n.Lines = append(n.Lines, orderevents.Line(l))
	}
	for _, c := range o.Charges {
		n.Charges = append(n.Charges, orderevents.Charge(c))
	}
	if _, fresh, err = s.orders.Place(ctx, n, ""); err != nil {
		return fresh, fmt.Errorf("place %s: %w", o.ID, err)
	}
	switch {
	case o.Fate == workload.CancelLate && fresh:
		err = d.late[o.ID].wait(ctx)
	case o.Fate != workload.CancelLate && o.Fate != workload.CancelEarly:
		return fresh, nil
	}
	if err == nil {
		_, err = s.orders.RequestCancel(ctx, o.ID, "the customer changed their mind")
	}
	if err != nil && !errors.Is(err, order.ErrEnded) { // with ErrEnded, the order ended before the cancel
		return fresh, fmt.Errorf("cancel %s: %w", o.ID, err)
	}
	return fresh, nil
}

// wait waits for the calls, but not longer than patience.
func (l lateCancel) wait(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range l.after {
		select {
		case <-l.calls:
		case <-waiting.Done():
			return ctx.Err()
		}
	}
	return nil
}

// takeBack returns an order. An order that did not complete has no goods to return.
func (s place) takeBack(ctx context.Context, o workload.Order) error {
	if _, err := s.orders.Return(ctx, o.ID, "the customer sent it back"); err != nil && !errors.Is(err, order.ErrNotCompleted) {
		return fmt.Errorf("return %s: %w", o.ID, err)
	}
	return nil
}

// inParallel calls do for each order, in their order but with several at a time, and stops at the first error.
func inParallel(ctx context.Context, orders []workload.Order, do func(context.Context, workload.Order) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan workload.Order)
	var workers sync.WaitGroup
	for range demoPlacers {
		workers.Go(func() {
			for o := range queue {
				if err := do(ctx, o); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, o := range orders {
		select {
		case queue <- o:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}
