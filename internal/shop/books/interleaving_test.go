package books

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
)

const ordersPerRun = 12

// customers asks, at random moments of a run, for everything that can be asked for.
func (s *shop) customers() []func() {
	var asks []func()
	for _, sku := range skus {
		asks = append(asks, func() {
			s.ask("inventory", func(ctx context.Context, tx *sql.Tx) ([]event, error) {
				_, err := inventory.Receive(ctx, tx, sku, 12)
				return nil, err
			})
		})
	}
	for n := range ordersPerRun {
		asks = append(asks, s.customer(fmt.Sprintf("o%02d", n))...)
	}
	for n := range 3 {
		asks = append(asks, func() {
			s.ask("order", func(ctx context.Context, tx *sql.Tx) ([]event, error) {
				e, fresh, err := order.Credit(ctx, tx, order.New{ID: fmt.Sprintf("C%d", n), Lines: lines(s.r)}, "broken")
				return if1(e, fresh, err)
			})
		})
	}
	s.r.Shuffle(len(asks), func(i, j int) { asks[i], asks[j] = asks[j], asks[i] })
	return asks
}

// customer places one order and may want to cancel and to return it, at any time.
func (s *shop) customer(id string) []func() {
	asks := []func(){func() {
		s.ask("order", func(ctx context.Context, tx *sql.Tx) ([]event, error) {
			e, fresh, err := order.Place(ctx, tx, order.New{ID: id, Lines: lines(s.r), Charges: []orderevents.Charge{{Code: "POST", Amount: s.r.Int64N(2)}}})
			return if1(e, fresh, err)
		})
	}}
	for range 4 * s.r.IntN(2) {
		asks = append(asks, func() {
			s.ask("order", func(ctx context.Context, tx *sql.Tx) ([]event, error) {
				e, fresh, err := order.RequestCancel(ctx, tx, id, "changed my mind")
				return if1(e, fresh, err)
			}, order.ErrNotFound, order.ErrEnded)
		})
	}
	for range 4 * s.r.IntN(2) {
		asks = append(asks, func() {
			s.ask("order", func(ctx context.Context, tx *sql.Tx) ([]event, error) {
				e, fresh, err := order.Return(ctx, tx, id, "too small")
				return if1(e, fresh, err)
			}, order.ErrNotFound, order.ErrNotCompleted)
		})
	}
	return asks
}

// run lets customers and reactions take turns, in an order drawn from the seed, until nothing is left to do.
func (s *shop) run() {
	asks := s.customers()
	for {
		if len(asks) > 0 && s.r.IntN(4) == 0 {
			asks[0]()
			asks = asks[1:]
		} else if !s.step() && len(asks) == 0 {
			return
		}
		if s.r.IntN(20) == 0 {
			if r := s.db.MustVerify(s.tb, false); !r.OK {
				s.tb.Fatalf("on the way: %v", r.Wrong)
			}
		}
	}
}

// compareOutside holds what the modules have on record against what the gateway and the carrier did.
func (s *shop) compareOutside() {
	err := s.db.do(s.tb.Context(), "", func(tx *sql.Tx) error {
		money, parcels := map[string]int64{}, map[string]int{}
		err := payment.Each(s.tb.Context(), tx, func(f payment.Fact) error {
			money[f.OrderID] = f.Charged - f.Refunded
			return nil
		})
		if err != nil {
			return err
		}
		err = shipping.Each(s.tb.Context(), tx, func(f shipping.Fact) error {
			if f.Status == shipping.StatusDispatched {
				parcels[f.OrderID] = 1
			}
			return nil
		})
		if err != nil {
			return err
		}
		for id, cents := range s.outside.money {
			if money[id] != cents {
				s.tb.Errorf("order %s: the gateway has %d cents, the books have %d", id, cents, money[id])
			}
		}
		for id, n := range s.outside.parcels {
			if parcels[id] != n {
				s.tb.Errorf("order %s: the carrier has %d parcels, the books have %d", id, n, parcels[id])
			}
		}
		return nil
	})
	if err != nil {
		s.tb.Fatal(err)
	}
}

// TestAnyInterleaving runs the choreography in many orders. Whatever happens first, fails, is repeated or is cut off,
// the books balance at every instant and at the end, and the gateway and the carrier have the same in theirs.
func TestAnyInterleaving(t *testing.T) {
	t.Parallel()
	const seeds = 60
	seen := map[string]int{}
	for seed := range uint64(seeds) {
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := newShop(t, seed)
			s.run()
			r := s.db.MustVerify(t, true)
			if !r.OK || r.Orders != ordersPerRun+3 || r.Open != 0 {
				t.Errorf("at the end: %+v", r)
			}
			s.compareOutside()
			for eventType, n := range s.emitted {
				seen[eventType] += n
			}
		}) {
			break
		}
	}
	for _, eventType := range []string{
		"order.placed", "order.cancel_requested", "order.returned", "order.completed", "order.cancelled", "inventory.reserved",
		"inventory.short", "inventory.released", "payment.charged", "payment.declined", "payment.refunded", "shipping.dispatched",
		"shipping.undeliverable",
	} {
		if seen[eventType] < seeds/2 {
			t.Errorf("%s happened %d times in %d runs: they show little", eventType, seen[eventType], seeds)
		}
	}
	t.Logf("events: %v", seen)
}
