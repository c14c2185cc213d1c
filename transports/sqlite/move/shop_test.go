package move_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/shop/books"
	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// town is where the shop does its business: a gateway, a carrier and a broker that outlive every process.
type town struct {
	tb     testing.TB
	world  *sim.World
	broker *wiretest.Broker
}

func MustOpenTown(tb testing.TB) *town {
	tb.Helper()
	world, err := sim.Open(filepath.Join(tb.TempDir(), "world"), sim.Options{
		Seed: 4, Latency: 25 * time.Millisecond, Silence: 100 * time.Millisecond,
		DeclineRate: 0.1, UndeliverableRate: 0.1, TransientRate: 0.2, LostAnswerRate: 0.1,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = world.Close() })
	return &town{tb, world, wiretest.NewBroker()}
}

// process is one deployable of the shop.
type process struct {
	journal *sqlite.Journal
	bus     *bus.Bus
	orders  *handlers.Orders
	stock   *handlers.Stock
	stop    func()
}

// mustRun runs modules, or all when none is named, on the journal at path, until it is stopped.
func (w *town) mustRun(path string, modules ...string) *process {
	w.tb.Helper()
	quiet := slog.New(slog.DiscardHandler)
	j, err := sqlite.Open(w.tb.Context(), path, sqlite.Config{Synchronous: "off", Logger: quiet})
	if err != nil {
		w.tb.Fatal(err)
	}
	retry := bus.Retry{Attempts: 30, First: 20 * time.Millisecond, Max: 100 * time.Millisecond}
	c := bus.Config{Logger: quiet, Modules: modules, Retry: retry, ExternalRetry: retry}
	if len(modules) > 0 {
		c.Transport = w.broker.Transport(j.ID())
	}
	p := &process{journal: j, bus: bus.New(j, c)}
	p.orders, p.stock = handlers.Order(p.bus), handlers.Inventory(p.bus)
	handlers.Payment(p.bus, w.world, 4)
	handlers.Shipping(p.bus, w.world, 4)
	handlers.Notification(p.bus)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.bus.Run(ctx) }()
	select {
	case <-p.bus.Running():
	case err := <-ended:
		w.tb.Fatal(errors.Join(err, j.Close()))
	}
	p.stop = sync.OnceFunc(func() {
		cancel()
		err := <-ended
		if c.Transport != nil {
			err = errors.Join(err, c.Transport.Close())
		}
		if err := errors.Join(err, j.Close()); err != nil {
			w.tb.Error(err)
		}
	})
	w.tb.Cleanup(p.stop)
	return p
}

// mustPlace places orders from..to, and asks to cancel every fifth.
func (w *town) mustPlace(p *process, from, to int) {
	w.tb.Helper()
	for i := from; i < to; i++ {
		id := fmt.Sprintf("o-%03d", i)
		_, _, err := p.orders.Place(w.tb.Context(), order.New{
			ID: id, CustomerID: "ada", Lines: []orderevents.Line{{SKU: "TEA", Quantity: 1, UnitPrice: 250}},
		}, "")
		if err == nil && i%5 == 0 {
			_, err = p.orders.RequestCancel(w.tb.Context(), id, "changed my mind")
		}
		if err != nil && !errors.Is(err, order.ErrEnded) {
			w.tb.Fatal(err)
		}
	}
}

// TestShopMovesHouse splits the shop with orders in every state, goes on with both halves, merges them with orders in every state, and
// lets it all come to an end: once.
func TestShopMovesHouse(t *testing.T) {
	t.Parallel()
	w := MustOpenTown(t)
	folder := t.TempDir()
	shop, pay := filepath.Join(folder, "shop.db"), filepath.Join(folder, "payment.db")
	o := move.Options{Journal: shop, Other: pay, Modules: []string{"payment"}}

	one := w.mustRun(shop)
	if _, err := one.stock.Receive(t.Context(), []handlers.Delivery{{SKU: "TEA", Quantity: 100}}); err != nil {
		t.Fatal(err)
	}
	w.mustPlace(one, 0, 40)
	if _, err := move.Split(t.Context(), o); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("splitting a journal in use: %v", err)
	}
	one.stop()
	p, err := move.Split(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	open := openRows(p)
	for _, wrong := range []struct {
		path    string
		modules []string
		says    string
	}{
		{shop, nil, "payment went to " + pay}, {pay, nil, "stayed in " + shop}, {pay, []string{"payment", "order"}, "stayed in " + shop},
	} {
		if err := w.startFails(wrong.path, wrong.modules...); err == nil || !strings.Contains(err.Error(), wrong.says) {
			t.Errorf("running %v on %s: %v, want %q", wrong.modules, wrong.path, err, wrong.says)
		}
	}

	most, payment := w.mustRun(shop, "order", "inventory", "shipping", "notification"), w.mustRun(pay, "payment")
	w.mustPlace(most, 40, 60)
	most.stop()
	payment.stop()
	if p, err = move.Merge(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	open += openRows(p)
	if open == 0 {
		t.Error("nothing was under way when the shop moved: the test is too slow")
	}
	if _, err := sqlite.Open(t.Context(), pay, sqlite.Config{}); !errors.Is(err, sqlite.ErrMoved) {
		t.Errorf("the journal that was left opens with %v", err)
	}

	one = w.mustRun(shop)
	w.mustPlace(one, 60, 70)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := one.bus.Quiet(ctx); err != nil {
		t.Fatal(err)
	}
	w.verify(one.journal.Reader(), 70)
}

// TestSentBeforeASplitIsSentAgain loses all topics after a split. What payment had sent before it was split off is in its journal,
// and 'resend' on all journals brings it to shipping.
func TestSentBeforeASplitIsSentAgain(t *testing.T) {
	t.Parallel()
	const orders = 5
	w := MustOpenTown(t)
	folder := t.TempDir()
	shop, pay, ship := filepath.Join(folder, "shop.db"), filepath.Join(folder, "payment.db"), filepath.Join(folder, "shipping.db")
	others := []string{"order", "inventory", "notification"}

	front := w.mustRun(shop, append(others, "payment")...)
	if _, err := front.stock.Receive(t.Context(), []handlers.Delivery{{SKU: "TEA", Quantity: 100}}); err != nil {
		t.Fatal(err)
	}
	for i := range orders { // mustPlace would cancel some
		_, _, err := front.orders.Place(t.Context(), order.New{
			ID: fmt.Sprintf("o-%03d", i), CustomerID: "ada", Lines: []orderevents.Line{{SKU: "TEA", Quantity: 1, UnitPrice: 250}},
		}, "")
		if err != nil {
			t.Fatal(err)
		}
	}
	w.mustSee("payment", orders)
	front.stop()
	o := move.Options{Journal: shop, Other: pay, Modules: []string{"payment"}}
	p, err := move.Split(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(p.Lines, func(l move.Line) bool { return l.What == "events emitted" }); i < 0 || p.Lines[i].Moved.After.Rows != orders {
		t.Errorf("the proof does not count the %d events that payment had emitted: %+v", orders, p.Lines)
	}

	w.broker = wiretest.NewBroker() // all topics are lost
	for _, path := range []string{shop, pay} {
		if _, err := sqlite.Resend(t.Context(), path, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	front = w.mustRun(shop, others...)
	w.mustRun(pay, "payment")
	w.mustRun(ship, "shipping")
	ended := 0
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	err = front.journal.Follow(ctx, 0, func(*journal.Event) error {
		if ended++; ended == orders {
			return enough
		}
		return nil
	}, orderevents.Completed{}.EventType(), orderevents.Cancelled{}.EventType())
	if !errors.Is(err, enough) {
		t.Errorf("%d of %d orders came to an end: %v", ended, orders, err)
	}
}

// mustSee waits until n messages are on a topic.
func (w *town) mustSee(topic string, n int) {
	w.tb.Helper()
	look := w.broker.Transport("look")
	ctx, cancel := context.WithTimeout(w.tb.Context(), 60*time.Second)
	defer cancel()
	messages, err := look.Subscribe(ctx, topic)
	if err != nil {
		w.tb.Fatal(err)
	}
	for i := range n {
		msg, ok := <-messages
		if !ok {
			w.tb.Fatalf("%d of %d messages are on %s", i, n, topic)
		}
		msg.Ack()
	}
	if err := look.Close(); err != nil {
		w.tb.Error(err)
	}
}

// startFails is the error of a process that is not to start.
func (w *town) startFails(path string, modules ...string) error {
	j, err := sqlite.Open(w.tb.Context(), path, sqlite.Config{Synchronous: "off", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	c := bus.Config{Modules: modules, Logger: slog.New(slog.DiscardHandler)}
	if len(modules) > 0 {
		c.Transport = wiretest.NewBroker().Transport("x")
		defer func() { _ = c.Transport.Close() }()
	}
	b := bus.New(j, c)
	handlers.Order(b)
	handlers.Inventory(b)
	handlers.Payment(b, w.world, 4)
	handlers.Shipping(b, w.world, 4)
	handlers.Notification(b)
	ctx, cancel := context.WithTimeout(w.tb.Context(), 20*time.Second)
	defer cancel()
	return errors.Join(b.Run(ctx), j.Close())
}

// openRows counts what was under way in the modules that moved.
func openRows(p *move.Proof) (n int64) {
	for _, l := range p.Lines {
		if l.What == "waiting" || strings.HasPrefix(l.What, "pending ") {
			n += l.Moved.After.Rows
		}
	}
	return n
}

// verify holds the books of the shop, which is at rest, and those of the gateway and the carrier.
func (w *town) verify(r *sqlite.Reader, orders int) {
	w.tb.Helper()
	err := r.View(context.Background(), func(tx *sql.Tx) error {
		report, err := books.Verify(context.Background(), tx, true)
		if err != nil {
			return err
		}
		if !report.OK || report.Orders != orders || report.Open > 0 {
			w.tb.Errorf("%d orders, %d open, wrong: %v", report.Orders, report.Open, report.Wrong)
		}
		var charged, refunded int64
		for id, a := range w.world.Ledger().Orders {
			charged, refunded = charged+a.Charged, refunded+a.Refunded
			if a.Charges > 1 || a.Refunds > 1 || a.Dispatches > 1 {
				w.tb.Errorf("%s was charged %d times, refunded %d times, and dispatched %d times", id, a.Charges, a.Refunds, a.Dispatches)
			}
		}
		if charged != report.Charged || refunded != report.Refunded {
			w.tb.Errorf("the gateway charged %d and refunded %d, by the books it was %d and %d", charged, refunded, report.Charged, report.Refunded)
		}
		return nil
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	wrong, err := r.Check(context.Background())
	if err != nil || len(wrong) > 0 {
		w.tb.Errorf("the journal: %v, %v", wrong, err)
	}
}
