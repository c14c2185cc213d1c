package handlers_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/books"
	"github.com/troupebus/troupe/internal/sim"
	"github.com/troupebus/troupe/transports/sqlite"
)

// shop is the five modules on a journal whose database keeps them out of each other's tables.
type shop struct {
	*bus.Bus
	orders *handlers.Orders
	stock  *handlers.Stock
	world  *sim.World
}

// MustRun runs the shop until the test ends. fates says what the outside world does to which order.
func MustRun(tb testing.TB, fates map[string]sim.Fate) *shop {
	tb.Helper()
	logger := slog.New(slog.DiscardHandler)
	j, err := sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "shop.db"), sqlite.Config{Logger: logger, Fence: func(module, table string) {
		tb.Errorf("module %s reached for %s", module, table)
	}})
	if err != nil {
		tb.Fatal(err)
	}
	world, err := sim.Open("", sim.Options{Rules: func(id string) (sim.Fate, bool) { return fates[id], true }})
	if err != nil {
		tb.Fatal(err)
	}
	s := &shop{Bus: bus.New(j, bus.Config{Logger: logger, Retry: bus.Retry{First: time.Millisecond}}), world: world}
	s.orders, s.stock = handlers.Order(s.Bus), handlers.Inventory(s.Bus)
	handlers.Payment(s.Bus, world, 4)
	handlers.Shipping(s.Bus, world, 4)
	handlers.Notification(s.Bus)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-s.Running():
	case err := <-ended:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, j.Close(), world.Close()); err != nil {
			tb.Error(err)
		}
	})
	if _, err := s.stock.Receive(tb.Context(), []handlers.Delivery{{SKU: "MUG", Quantity: 100}, {SKU: "RARE", Quantity: 1}}); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *shop) place(tb testing.TB, id, sku string, quantity int64) {
	tb.Helper()
	n := order.New{
		ID: id, CustomerID: "c-" + id, Lines: []orderevents.Line{{SKU: sku, Quantity: quantity, UnitPrice: 1250}},
		Charges: []orderevents.Charge{{Code: "POST", Amount: 490}},
	}
	if _, placed, err := s.orders.Place(tb.Context(), n, nil); err != nil || !placed {
		tb.Fatalf("place %s: %v, %v", id, placed, err)
	}
}

func (s *shop) wait(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	if err := s.Quiet(ctx); err != nil {
		tb.Fatal(err)
	}
}

// flow is the types of an order's events, sorted where nothing orders them.
func (s *shop) flow(tb testing.TB, id string) []string {
	tb.Helper()
	var types []string
	err := s.View(tb.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(tb.Context(), "SELECT type FROM events WHERE correlation_id = ?", id)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var t string
			if err := rows.Scan(&t); err != nil {
				return err
			}
			types = append(types, t)
		}
		return rows.Err()
	})
	if err != nil {
		tb.Fatal(err)
	}
	slices.Sort(types)
	return types
}

// verify fails the test when the books do not balance, or when the outside world has other books.
func (s *shop) verify(tb testing.TB) books.Report {
	tb.Helper()
	var report books.Report
	err := s.View(tb.Context(), func(tx *sql.Tx) (err error) {
		report, err = books.Verify(tb.Context(), tx, true)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range report.Wrong {
		tb.Errorf("books: %+v", p)
	}
	var charged, refunded int64
	for _, a := range s.world.Ledger().Orders {
		charged += a.Charged
		refunded += a.Refunded
	}
	if charged != report.Charged || refunded != report.Refunded {
		tb.Errorf("the gateway has charged %d and refunded %d, the books say %d and %d", charged, refunded, report.Charged, report.Refunded)
	}
	return report
}

func TestEndsOfAnOrder(t *testing.T) {
	t.Parallel()
	troubles := []sim.Trouble{sim.Transient, sim.LostAnswer}
	fates := map[string]sim.Fate{
		"declined":      {Declined: "no funds"},
		"undeliverable": {Undeliverable: "unknown street"},
		"flaky":         {Troubles: troubles},
	}
	s := MustRun(t, fates)
	begin := "inventory.reserved order.placed"
	for _, c := range []struct {
		id, sku string
		status  order.Status
		events  string
		then    func() error
	}{
		{id: "happy", sku: "MUG", status: order.StatusCompleted, events: begin + " payment.charged shipping.dispatched order.completed"},
		{id: "flaky", sku: "MUG", status: order.StatusCompleted, events: begin + " payment.charged shipping.dispatched order.completed"},
		{id: "short", sku: "RARE", status: order.StatusCancelled, events: "order.placed inventory.short order.cancelled"},
		{id: "declined", sku: "MUG", status: order.StatusCancelled, events: begin + " payment.declined inventory.released order.cancelled"},
		{id: "undeliverable", sku: "MUG", status: order.StatusCancelled, events: begin + " payment.charged shipping.undeliverable payment.refunded inventory.released order.cancelled"},
		{
			id: "returned", sku: "MUG", status: order.StatusReturned,
			events: begin + " payment.charged shipping.dispatched order.completed order.returned payment.refunded",
			then:   func() error { _, err := s.orders.Return(t.Context(), "returned", "too small"); return err },
		},
	} {
		s.place(t, c.id, c.sku, 2)
		s.wait(t)
		if c.then != nil {
			if err := c.then(); err != nil {
				t.Fatal(err)
			}
			s.wait(t)
		}
		o, err := s.orders.Get(t.Context(), c.id)
		if err != nil || o.Status != c.status {
			t.Errorf("%s: status %s, want %s: %v", c.id, o.Status, c.status, err)
		}
		want := strings.Fields(c.events)
		slices.Sort(want)
		if got := s.flow(t, c.id); !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", c.id, got, want)
		}
	}
	if r := s.verify(t); r.Completed != 2 || r.Cancelled != 3 || r.Returned != 1 {
		t.Errorf("ends: %+v", r)
	}
}

// The customer cancels while the order is on its way: whoever wins, it ends once, and the books balance.
func TestCancelRacesTheFlow(t *testing.T) {
	t.Parallel()
	s := MustRun(t, nil)
	const orders = 40
	for i := range orders {
		id := fmt.Sprintf("race-%02d", i)
		s.place(t, id, "MUG", 1)
		for range i * 50 { // later and later
			_, _ = s.orders.Get(t.Context(), id)
			if i%4 == 0 {
				break
			}
		}
		if _, err := s.orders.RequestCancel(t.Context(), id, "changed my mind"); err != nil && !errors.Is(err, order.ErrEnded) {
			t.Fatal(err)
		}
	}
	s.wait(t)
	r := s.verify(t)
	if r.Orders != orders || r.Open != 0 {
		t.Errorf("ends: %+v", r)
	}
	t.Logf("%d cancelled, %d returned, %d completed before they were cancelled", r.Cancelled, r.Returned, r.Completed)
}

func TestCreditNote(t *testing.T) {
	t.Parallel()
	s := MustRun(t, nil)
	n := order.New{ID: "credit", Lines: []orderevents.Line{{SKU: "MUG", Quantity: 3, UnitPrice: 1000}, {SKU: "NEVER-SEEN", Quantity: 1, UnitPrice: 500}}}
	for round := range 2 {
		fresh, err := s.orders.Credit(t.Context(), n, "bought elsewhere")
		if err != nil || fresh != (round == 0) {
			t.Fatalf("round %d: %v, %v", round, fresh, err)
		}
	}
	s.wait(t)
	stock, err := s.stock.Get(t.Context(), "MUG")
	if err != nil || stock.OnHand != 103 || stock.Returned != 3 {
		t.Errorf("stock: %+v, %v", stock, err)
	}
	if r := s.verify(t); r.Refunded != 3500 || r.Returned != 1 {
		t.Errorf("report: %+v", r)
	}
}

// The choreography is known before it runs: every subscription with what it consumes, and every event type with who
// emits it.
func TestWiringIsSound(t *testing.T) {
	t.Parallel()
	s := MustRun(t, nil)
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
