package books

import (
	"math"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
)

// Orders whose totals cannot be added up, as they were taken once, are wrong by name, and do not wrap to totals that agree.
func TestTotalsBeyondCounting(t *testing.T) {
	t.Parallel()
	db := MustOpen(t)
	MustTamper(t, db, balanced,
		"UPDATE order_orders SET total = 9223372036854775807 WHERE id IN ('done', 'back')",
		"UPDATE payment_payments SET charged = 9223372036854775807 WHERE order_id IN ('done', 'back')",
		"UPDATE payment_payments SET refunded = 9223372036854775807 WHERE order_id = 'back'")
	r := db.MustVerify(t, true)
	if r.OK || !names(r, "done", "92233720368547758.07 cannot be added to the total") || r.Charged < 0 {
		t.Errorf("%+v", r)
	}
	for _, p := range r.Wrong {
		if p.OrderID == "" {
			t.Errorf("totals that are not known are judged: %+v", p)
		}
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b, sum int64
		ok        bool
	}{{1, 2, 3, true}, {-1, 1, 0, true}, {0, 0, 0, true}, {math.MaxInt64, 0, math.MaxInt64, true}, {math.MaxInt64, 1, 0, false},
		{math.MinInt64, -1, 0, false}, {math.MaxInt64, math.MinInt64, -1, true}, {math.MinInt64, math.MinInt64, 0, false}} {
		if sum, ok := add(c.a, c.b); ok != c.ok || ok && sum != c.sum {
			t.Errorf("%d + %d = %d, %t", c.a, c.b, sum, ok)
		}
	}
	for cents, want := range map[int64]string{-5: "-0.05", -1205: "-12.05", math.MinInt64: "-92233720368547758.08", 123: "1.23"} {
		if got := money(cents); got != want {
			t.Errorf("%d is %s, want %s", cents, got, want)
		}
	}
}

// What an observer adds up for an order is checked, too.
func TestObservedBeyondCounting(t *testing.T) {
	t.Parallel()
	s := stories()
	s["done"] = append(s["done"], told{paymentevents.Charged{OrderID: "done", Amount: math.MaxInt64}, []journal.Reaction{}})
	s["huge"] = []told{{orderevents.Placed{OrderID: "huge", Total: order.MaxTotal}, nil}, {paymentevents.Charged{OrderID: "huge", Amount: math.MaxInt64}, nil}}
	r, _ := MustObserve(t, s, 0)
	var found []string
	for _, p := range r.Wrong {
		found = append(found, p.OrderID+": "+p.What)
	}
	all := strings.Join(found, "\n")
	if !strings.Contains(all, "done: the sum of the charges or refunds overflows") || !strings.Contains(all, "cannot be added to the total") {
		t.Errorf("wrong:\n%s", all)
	}
}
