package cli_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/internal/shop/shoptest"
	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// spreadShop is a shop of five deployables, each on a journal of its own, in real time.
type spreadShop struct {
	broker *wiretest.Broker
	dir    string
	paths  []string
	orders *handlers.Orders
	stock  *handlers.Stock
	stops  map[string]func()
}

// MustSpread runs one until the end of the test.
func MustSpread(tb testing.TB) *spreadShop {
	tb.Helper()
	s := &spreadShop{broker: wiretest.NewBroker(), dir: tb.TempDir(), stops: map[string]func(){}}
	for _, modules := range shoptest.Five {
		s.paths = append(s.paths, filepath.Join(s.dir, modules[0]+".db"))
		s.start(tb, modules[0])
	}
	tb.Cleanup(s.stop)
	return s
}

// start runs a deployable of some modules, on a journal that is called after the first of them.
func (s *spreadShop) start(tb testing.TB, module string, more ...string) {
	tb.Helper()
	modules := append([]string{module}, more...)
	quiet := slog.New(slog.DiscardHandler)
	j, err := sqlite.Open(tb.Context(), filepath.Join(s.dir, module+".db"), sqlite.Config{Synchronous: "off", Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	var t bus.Transport // none where there is no broker
	closeTransport := func() error { return nil }
	if s.broker != nil {
		t = s.broker.Transport(module)
		closeTransport = t.Close
	}
	b := bus.New(j, bus.Config{Logger: quiet, Modules: modules, Transport: t})
	world, err := sim.Open("", sim.Options{Seed: 3, DeclineRate: 0.2, UndeliverableRate: 0.2})
	if err != nil {
		tb.Fatal(err)
	}
	orders, stock := wire(b, world, 4)
	if slices.Contains(modules, "order") {
		s.orders = orders
	}
	if slices.Contains(modules, "inventory") {
		s.stock = stock
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-b.Running():
	case err := <-ended:
		tb.Fatal(err)
	}
	s.stops[module] = func() {
		cancel()
		if err := errors.Join(<-ended, closeTransport(), j.Close(), world.Close()); err != nil {
			tb.Error(err)
		}
	}
}

// stop ends all of them.
func (s *spreadShop) stop() {
	for module := range s.stops {
		s.stopOne(module)
	}
}

func (s *spreadShop) stopOne(module string) {
	if stop := s.stops[module]; stop != nil {
		delete(s.stops, module)
		stop()
	}
}

// sell has n orders placed.
func (s *spreadShop) sell(tb testing.TB, name string, n int) {
	tb.Helper()
	if _, err := s.stock.Receive(tb.Context(), []handlers.Delivery{{SKU: "MUG", Quantity: 20}}); err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		_, _, err := s.orders.Place(tb.Context(), order.New{
			ID: fmt.Sprintf("%s-%02d", name, i), CustomerID: "c", Lines: []orderevents.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 500}}}, "")
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// MustAudit verifies by the journals at paths, which must be possible, again and again until enough.
func MustAudit(tb testing.TB, paths []string, enough func(verification) bool) {
	tb.Helper()
	var v verification
	for range time.Tick(10 * time.Millisecond) {
		err := cli.ReadJournals(tb.Context(), paths, func(readers []*sqlite.Reader) (err error) {
			v, err = cli.AuditAll(tb.Context(), shopProgram(), readers, time.Now())
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
		if enough(v) {
			return
		}
	}
}

func (s *spreadShop) args(more ...string) []string {
	for _, p := range s.paths {
		more = append(more, "--journal", p)
	}
	return more
}

// While everything is on its way nothing is wrong, and in the end the books of all journals balance.
func TestVerifyAcrossJournals(t *testing.T) {
	t.Parallel()
	s := MustSpread(t)
	s.sell(t, "o", 40)
	MustAudit(t, s.paths, func(v verification) bool {
		if !v.OK {
			t.Errorf("under way: %q", v.Wrong)
		}
		return v.Settled || t.Failed()
	})
	ran := MustRunCommand(t, "verify", s.args()...)
	wantOutput(t, ran, 0, "books    40 orders: ", "0 open", "journal  "+s.paths[2]+" of payment: ", "everything adds up")
	v := mustUnmarshal[verification](t, MustRunCommand(t, "verify", s.args("--json")...))
	if !v.OK || !v.Settled || len(v.Journals) != 5 || booksOf(v).Cancelled < 20 || booksOf(v).Completed == 0 || v.Stats.Events == 0 || !slices.Equal(v.Journals[0].Modules, []string{"order"}) {
		t.Errorf("as JSON: %+v", v)
	}

	// Not all of it: the journals alone are checked.
	some := MustRunCommand(t, "verify", "--journal", s.paths[0], "--journal", s.paths[1])
	wantOutput(t, some, 0, "books    not checked: the tables of notification, payment, shipping are in other journals", "the journal adds up; the books were not checked")
	wantOutput(t, MustRunCommand(t, "verify", "--journal", s.paths[0]), 0, "the tables of inventory, notification, payment, shipping are in other journals")
	wantOutput(t, MustRunCommand(t, "verify", s.args("--journal", s.paths[0])...), exitWrong, "both have order")
	wantOutput(t, MustRunCommand(t, "verify", "--grace", "-1s"), exitUsage, "--grace")

	// What one of them has on record that the others have not is wrong.
	s.stop()
	MustChange(t, s.paths[2], "UPDATE payment_payments SET charged = charged + 100 WHERE order_id = (SELECT min(order_id) FROM payment_payments WHERE status = 'charged')")
	MustChange(t, s.paths[4], "DELETE FROM notification_notices WHERE order_id = 'o-39'")
	MustChange(t, s.paths[1], "DELETE FROM deliveries WHERE seq = 1")
	wantOutput(t, MustRunCommand(t, "verify", s.args()...), exitWrong, "was charged; expected: 5.00", "order o-39: is c", ", but notification is missing", s.paths[1]+": event 1", "without a record")
}

// What was sent to somebody who is away is on its way; it is missed after a while. What the sender itself does not
// know is an old copy.
func TestVerifyAcrossJournalsMissesEvents(t *testing.T) {
	t.Parallel()
	s := MustSpread(t)
	s.stopOne("inventory")
	for i := range 3 {
		if _, _, err := s.orders.Place(t.Context(), order.New{ID: fmt.Sprint("o", i), Lines: []orderevents.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 500}}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	MustAudit(t, s.paths, func(v verification) bool { return v.OnTheWay == 3 && !v.Settled })
	s.stop() // the last commit of each notes what was sent
	wantOutput(t, MustRunCommand(t, "verify", s.args("--grace", "1h")...), 0, "3 orders: ", "3 open", "open     3 in transit")
	wantOutput(t, MustRunCommand(t, "verify", s.args("--grace", "0")...), exitWrong, "(order.placed) was sent from "+s.paths[0]+", and has not arrived in "+s.paths[1], "3 wrong")

	for _, modules := range shoptest.Five {
		s.start(t, modules[0])
	}
	MustAudit(t, s.paths, func(v verification) bool { return v.OK && v.Settled && booksOf(v).Cancelled == 3 })
	s.stop()
	MustChange(t, s.paths[0], "DELETE FROM events WHERE type = 'order.placed'")
	wantOutput(t, MustRunCommand(t, "verify", s.args()...), exitWrong, "(order.placed), and 2 more, came from "+s.paths[0]+" to "+s.paths[1]+", but is not in the former")
}

// An observer's journal is verified alone.
func TestVerifyAnObserverAmongOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "observer.db")
	ob, err := cli.ObserveInto(t.Context(), cli.Wiring(shopProgram()), path, func(group string, _ *slog.Logger) (bus.Transport, error) {
		return wiretest.NewBroker().Transport(group), nil
	}, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := ob.Close(); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, MustRunCommand(t, "verify", "--journal", path, "--journal", path), exitUsage, "name this journal alone")
	wantOutput(t, MustRunCommand(t, "verify", "--journal", path), 0, "books    0 orders", "everything adds up")
}

// A shop that ran in one process and was split has events that were never sent: nobody misses them, and of what is
// older than itself an observer says no more than it knows.
func TestVerifyAfterASplit(t *testing.T) {
	t.Parallel()
	s := &spreadShop{dir: t.TempDir(), stops: map[string]func(){}}
	t.Cleanup(s.stop)
	s.paths = []string{filepath.Join(s.dir, "order.db"), filepath.Join(s.dir, "payment.db")}
	s.start(t, "order", "inventory", "payment", "shipping", "notification")
	s.sell(t, "old", 30)
	MustAudit(t, s.paths[:1], func(v verification) bool { return v.Settled })
	s.stopOne("order")
	if _, err := move.Split(t.Context(), move.Options{Journal: s.paths[0], Other: s.paths[1], Modules: []string{"payment", "shipping"}}); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, MustRunCommand(t, "verify", s.args("--grace", "0")...), 0, "books    30 orders: ", "0 open", "everything adds up")

	s.broker = wiretest.NewBroker()
	s.start(t, "order", "inventory", "notification")
	s.start(t, "payment", "shipping")
	observed := filepath.Join(s.dir, "observer.db")
	ob, err := cli.ObserveInto(t.Context(), cli.Wiring(shopProgram()), observed, func(group string, _ *slog.Logger) (bus.Transport, error) {
		return s.broker.Transport(group), nil
	}, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); ob.Run(ctx) }()
	s.sell(t, "new", 10)
	MustAudit(t, s.paths, func(v verification) bool {
		if !v.OK {
			t.Errorf("%q", v.Wrong)
		}
		return v.Settled && booksOf(v).Orders == 40 || t.Failed()
	})
	MustAudit(t, []string{observed}, func(v verification) bool { // without any grace, what is on its way is missed
		return v.OK && v.Settled && booksOf(v).Orders == 10 && booksOf(v).Open == 0 && v.Unmatched == 0
	})
	cancel()
	<-ended
	if err := ob.Close(); err != nil {
		t.Error(err)
	}
	wantOutput(t, MustRunCommand(t, "verify", "--grace", "0", "--journal", observed), 0, "books    10 orders: ", "everything adds up")
}
