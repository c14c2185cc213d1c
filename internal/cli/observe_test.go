package cli_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/internal/shop/shoptest"
	"github.com/troupebus/troupe/transports/sqlite"
)

type shopApp = bustest.App[shoptest.Shop]

// watched is a shop of five deployables with an observer, in a bubble.
type watched struct {
	*shopApp
	broker *wiretest.Broker
	dir    string
	images int
	path   string // of the observer's journal
	ob     *cli.Watching
	stop   func() // the observer, as a signal does
}

// watch runs test on one. It returns the path of the observer's journal, which is left behind.
func watch(t *testing.T, test func(w *watched)) string {
	t.Helper()
	w := &watched{dir: t.TempDir()}
	w.path = filepath.Join(w.dir, "observer.db")
	sys := shoptest.Spread(shoptest.Five, func(group string) (bus.Transport, error) {
		if w.broker == nil { // it must be made in the bubble
			w.broker = wiretest.NewBroker()
		}
		return w.broker.Transport(group), nil
	})
	bustest.Run(t, sys, func(app *shopApp) {
		w.shopApp = app
		w.observe()
		defer func() { w.stop() }()
		test(w)
		w.settle()
	})
	return w.path
}

func (w *watched) observe() {
	w.T().Helper()
	connect := func(group string, _ *slog.Logger) (bus.Transport, error) { return w.broker.Transport(group), nil }
	ob, err := cli.ObserveInto(w.Context(), cli.Wiring(shopProgram()), w.path, connect,
		sqlite.Config{Synchronous: "off", ForeignCheck: 10 * 365 * 24 * time.Hour, SlowWork: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.T().Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); ob.Run(ctx) }()
	w.ob = ob
	w.stop = func() {
		cancel()
		<-ended
		if err := ob.Close(); err != nil {
			w.T().Error(err)
		}
	}
}

// kill leaves the observer's journal as it is at this instant, and starts another on that.
func (w *watched) kill() {
	w.T().Helper()
	if err := w.ob.Transport.Close(); err != nil { // first: what is acknowledged from here on would not be in the image
		w.T().Fatal(err)
	}
	w.images++
	image := filepath.Join(w.dir, fmt.Sprintf("observer-%d.db", w.images))
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(w.path + end)
		if err == nil {
			err = os.WriteFile(image+end, b, 0o600)
		}
		if err != nil {
			w.T().Fatal(err)
		}
	}
	w.stop()
	w.path = image
	w.observe()
}

// settle waits until the observer has been told everything.
func (w *watched) settle() {
	w.Quiet()
	w.Advance(time.Second)
	for range 100 {
		if w.broker.Pending() == 0 {
			break
		}
		w.Advance(time.Second)
	}
}

func (w *watched) verify() verification {
	w.T().Helper()
	w.settle()
	v, err := cli.AuditObserved(w.Context(), shopProgram(), w.ob.Journal.Reader(), time.Now())
	if err != nil {
		w.T().Fatal(err)
	}
	return v
}

// flow is what the observer has of an order.
func (w *watched) flow(id string) *journal.Flow {
	w.T().Helper()
	flows, err := cli.ReadFlows(w.Context(), w.ob.Journal.Reader(), id)
	if err != nil || len(flows) != 1 {
		w.T().Fatalf("flow %s: %d, %v", id, len(flows), err)
	}
	return flows[0]
}

func orderOne(app *shopApp, id, sku string) {
	app.Must("the customer orders "+id, func(ctx context.Context, s shoptest.Shop) error { return s.Place(ctx, id, sku, 1) })
}

// everyEnd has orders come to every end, one of them on a bad day for the gateway.
func everyEnd(app *shopApp, between func()) {
	app.Must("goods arrive", func(ctx context.Context, s shoptest.Shop) error {
		if err := s.Receive(ctx, "MUG", 100); err != nil {
			return err
		}
		return s.Receive(ctx, "RARE", 1)
	})
	for _, id := range []string{"plain", "declined", "undeliverable", "back"} {
		orderOne(app, id, "MUG")
		between()
	}
	orderOne(app, "last", "RARE")
	app.Quiet()
	orderOne(app, "short", "RARE")
	app.Must("the customer returns it", func(ctx context.Context, s shoptest.Shop) error { return s.Return(ctx, "back") })
	app.Must("a credit note", func(ctx context.Context, s shoptest.Shop) error {
		_, err := s.Orders.Credit(ctx, order.New{ID: "credit", CustomerID: "c", Lines: []orderevents.Line{{SKU: "MUG", Quantity: 2, UnitPrice: 300}}}, "broken")
		return err
	})
	between()
	app.Quiet()
	app.World().Service("gateway").Next("charge", bustest.Fails, bustest.LosesAnswer, bustest.Fails)
	orderOne(app, "flaky", "MUG")
	app.Quiet()
}

// outline is a flow as a tree, without what differs from run to run: ids, times, and the order of what follows from one thing.
func outline(f *journal.Flow) string {
	var below func(cause, subscription, indent string) string
	below = func(cause, subscription, indent string) string {
		var branches []string
		for _, e := range f.Events {
			if e.CausationID != cause || e.Subscription != subscription {
				continue
			}
			b := fmt.Sprintf("%s%s %s %s\n", indent, e.Type, e.Key, e.Data)
			for _, r := range e.Reactions {
				b += fmt.Sprintf("%s  %s %s, %d attempts, %q\n", indent, r.Subscription, r.Outcome, r.Attempts, r.Error)
				b += below(e.ID, r.Subscription, indent+"    ")
			}
			branches = append(branches, b)
		}
		slices.Sort(branches)
		return strings.Join(branches, "")
	}
	return below("", "", "")
}

func outlines(app *shopApp) map[string]string {
	app.T().Helper()
	flows, err := app.Flows()
	if err != nil {
		app.T().Fatal(err)
	}
	all := map[string]string{}
	for _, f := range flows {
		all[f.ID] = outline(f)
	}
	return all
}

// What the observer of five deployables sees is what one process has on record: also when it is stopped and killed on the way, when
// the broker goes, and when what became of events is told before they come.
func TestObserverSeesOneShop(t *testing.T) {
	t.Parallel()
	var want map[string]string
	bustest.Run(t, shoptest.System(), func(app *shopApp) {
		everyEnd(app, func() {})
		want = outlines(app)
	})
	if len(want) != 8 || !strings.Contains(want["flaky"], "payment/charge done, 4 attempts") {
		t.Fatalf("in one process: %d flows\n%s", len(want), want["flaky"])
	}
	for name, between := range map[string]func(w *watched, n int){
		"undisturbed": func(*watched, int) {},
		"killed":      func(w *watched, _ int) { w.Advance(time.Microsecond); w.kill() },
		"stopped": func(w *watched, n int) {
			if n == 0 {
				w.stop()
			} else if n == 3 { // much later, everything is there to be told at once
				w.Quiet()
				w.observe()
			}
		},
		"without a broker": func(w *watched, n int) { w.broker.Down(n == 0 || n == 2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := watch(t, func(w *watched) {
				n := 0
				everyEnd(w.shopApp, func() {
					between(w, n)
					n++
				})
				w.broker.Down(false)
				v := w.verify()
				if !v.OK || !v.Settled || booksOf(v).Orders != 8 || booksOf(v).Open != 0 || v.OnTheWay != 0 {
					t.Errorf("verify: %+v %+v", v, v.Books)
				}
				for id, one := range want {
					if got := outline(w.flow(id)); got != one {
						t.Errorf("the observer sees\n%s\nin one process it was\n%s", got, one)
					}
				}
				wantSameAsJoined(w)
			})
			wantOutput(t, MustRunCommand(t, "verify", "--journal", path), 0, "books    8 orders: 3 completed, 3 cancelled, 2 returned, 0 open", "everything adds up")
			wantOutput(t, MustRunCommand(t, "trace", "flaky", "--journal", path), 0, "flow flaky: 5 events", "payment/charge  done in", "4 attempts")
			wantOutput(t, MustRunCommand(t, "events", "--key", "short", "--journal", path), 0, "order.cancelled")
		})
	}
}

// wantSameAsJoined compares each flow with what the deployables' own journals have, to the microsecond.
func wantSameAsJoined(w *watched) {
	w.T().Helper()
	flows, err := w.Flows()
	if err != nil {
		w.T().Fatal(err)
	}
	for _, f := range flows {
		if got, want := inFull(w.flow(f.ID)), inFull(f); got != want {
			w.T().Errorf("the observer sees\n%s\nthe deployables have\n%s", got, want)
		}
	}
}

// inFull is all of f but for the numbers that one journal gives.
func inFull(f *journal.Flow) string {
	var lines []string
	for _, e := range f.Events {
		for _, r := range e.Reactions {
			r.BlockedBy, r.DeadLetter = min(r.BlockedBy, 1), min(r.DeadLetter, 1)
			lines = append(lines, fmt.Sprintf("%s %s %+v", e.Type, e.ID, r))
		}
		e.Seq, e.Reactions = 0, nil
		lines = append(lines, fmt.Sprintf("%+v", e))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// What is retried, dead or waits is shown as it is; what a person replays where it died is shown as replayed.
func TestObserverSeesTrouble(t *testing.T) {
	t.Parallel()
	watch(t, func(w *watched) {
		w.Must("goods arrive", func(ctx context.Context, s shoptest.Shop) error { return s.Receive(ctx, "MUG", 10) })
		for range 8 {
			w.World().Service("gateway").Next("charge", bustest.Fails)
		}
		orderOne(w.shopApp, "order-1", "MUG")
		w.Advance(time.Second) // it is tried again and again, later and later
		if text := inFull(w.flow("order-1")); !strings.Contains(text, "Outcome:retrying") {
			t.Errorf("nothing is retried in\n%s", text)
		}
		wantSameAsJoined(w)
		if v := w.peek(); !v.OK || v.Settled || v.Open() != "1 retrying" {
			t.Errorf("while it is retried: %+v, %s", v, v.Open())
		}

		w.settle()
		wantSameAsJoined(w)
		const still = "order order-1: is still open: inventory is reserved, payment is missing, shipping is missing, notification is missing; dead: payment/charge"
		if v := w.verify(); v.OK || !slices.Equal(v.Wrong, []string{still}) {
			t.Errorf("when it is dead: %q", v.Wrong)
		}
		list := MustRunCommand(w.T(), "dlq", "list", "--journal", w.path)
		wantOutput(t, list, 0, "payment/charge", "order-1", "dlq show 1")
		wantOutput(t, MustRunCommand(w.T(), "dlq", "show", "1", "--journal", w.path), 0, "1 of payment/charge, dead", "inventory.reserved")
		wantOutput(t, MustRunCommand(w.T(), "dlq", "replay", "1", "--journal", w.path), exitWrong, "only looks on")
		wantOutput(t, MustRunCommand(w.T(), "dlq", "drop", "1", "--reason", "r", "--journal", w.path), exitWrong, "only looks on")

		w.Replay("payment/charge")
		if v := w.verify(); !v.OK || !v.Settled || v.Stats.DeadLetters[journal.LetterReplayed] != 1 {
			t.Errorf("when it is replayed: %+v", v)
		}
		wantSameAsJoined(w)
	})
}

// peek verifies without waiting.
func (w *watched) peek() verification {
	w.T().Helper()
	v, err := cli.AuditObserved(w.Context(), shopProgram(), w.ob.Journal.Reader(), time.Now())
	if err != nil {
		w.T().Fatal(err)
	}
	return v
}

// What no module's tables show is found in the events: here a second charge, by a program that is none of ours.
func TestObserverFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	path := watch(t, func(w *watched) {
		everyEnd(w.shopApp, func() {})
		w.broker.Write("payment", []byte("plain"), map[string]string{
			"ce_specversion": "1.0", "ce_id": "again", "ce_type": "payment.charged", "ce_source": "payment", "ce_subject": "plain", "content-type": "application/json",
		}, []byte(`{"order_id": "plain", "amount_cents": 1740, "reference": "again"}`))
		if v := w.verify(); v.OK || !slices.Contains(v.Wrong, "order plain: payment.charged happened 2 times") || !slices.Contains(v.Wrong, "order plain: 34.80 was charged; expected: 17.40") {
			t.Errorf("a double charge: %q", v.Wrong)
		}
	})
	dropped := `UPDATE deliveries SET outcome = 'dropped' WHERE (seq, subscription) IN (
		SELECT e.seq, s.id FROM events e, subscriptions s WHERE e.type = 'order.cancelled' AND e.key = 'short' AND s.name = 'notification/tell-cancelled')`
	for _, c := range [][2]string{
		{"DELETE FROM events WHERE type = 'order.completed' AND key = 'last'", "order last: is still open: inventory is reserved, payment is charged, shipping is dispatched"},
		{dropped, "order short: is cancelled, but notification is missing; expected: cancelled"},
		{"DELETE FROM deliveries WHERE subscription = (SELECT id FROM subscriptions WHERE name = 'shipping/dispatch')", "open     6 waiting"},
	} {
		MustChange(t, path, c[0])
		wantOutput(t, MustRunCommand(t, "verify", "--journal", path), exitWrong, c[1])
	}
}
