package main

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/internal/shop/sim"
)

// audit runs the command verify, and also compares the books with the acts of the gateway and the carrier, from their
// file at world.
func audit(ctx context.Context, c *troupe.Call[doors], world string) (troupe.Verification, error) {
	ledger, err := sim.ReadLedger(world)
	if err != nil {
		return troupe.Verification{}, err
	}
	v, err := c.Verify(ctx)
	if err != nil || v.Books == nil {
		return v, err
	}
	err = c.Deployable.Journal.Reader().View(ctx, func(tx *sql.Tx) error {
		found, err := compareOutside(ctx, tx, ledger, v.Settled)
		v.Wrong = append(v.Wrong, found...)
		return err
	})
	v.OK = len(v.Wrong) == 0
	return v, err
}

// onRecord has the charges, refunds and parcel of an order in the shop's books.
type onRecord struct {
	charged, refunded int64
	parcel            shipping.Status
}

// compareOutside returns the differences between the shop's books and the acts of the gateway and the carrier. Unless
// settled, the gateway and the carrier may be ahead, because the shop records an act after the answer.
func compareOutside(ctx context.Context, tx *sql.Tx, done sim.Ledger, settled bool) ([]string, error) {
	believed := map[string]onRecord{}
	for id := range done.Orders {
		believed[id] = onRecord{}
	}
	err := payment.Each(ctx, tx, func(f payment.Fact) error {
		believed[f.OrderID] = onRecord{charged: f.Charged, refunded: f.Refunded}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = shipping.Each(ctx, tx, func(f shipping.Fact) error {
		b := believed[f.OrderID]
		b.parcel = f.Status
		believed[f.OrderID] = b
		return nil
	})
	if err != nil {
		return nil, err
	}
	var wrong []string
	for _, id := range slices.Sorted(maps.Keys(believed)) {
		for _, what := range believed[id].differences(done.Orders[id], settled) {
			wrong = append(wrong, "order "+id+": "+what)
		}
	}
	return wrong, nil
}

func (b onRecord) differences(a sim.Account, settled bool) []string {
	var found []string
	dispatched := 0
	if b.parcel == shipping.StatusDispatched {
		dispatched = 1
	}
	for _, c := range []struct {
		what           string
		believed, done int64
	}{
		{"cents charged", b.charged, a.Charged},
		{"cents refunded", b.refunded, a.Refunded},
		{"parcels dispatched", int64(dispatched), int64(a.Dispatches)},
	} {
		if c.done < c.believed || settled && c.done != c.believed {
			found = append(found, fmt.Sprintf("%d %s by the shop's books, but %d by the gateway and the carrier", c.believed, c.what, c.done))
		}
	}
	for _, c := range []struct {
		what  string
		times int
	}{{"charged", a.Charges}, {"refunded", a.Refunds}, {"dispatched", a.Dispatches}} {
		if c.times > 1 {
			found = append(found, fmt.Sprintf("was %s %d times", c.what, c.times))
		}
	}
	return found
}
