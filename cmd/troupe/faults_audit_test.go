package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/transports/sqlite"
)

// settling is the time limit until no work is left, after the last order.
const settling = 2 * time.Minute

// MustSettle waits until no work is left, and returns the audit and the time.
func (s *deployed) MustSettle(tb testing.TB) (verification, time.Duration) {
	tb.Helper()
	began := time.Now()
	var v verification
	for time.Since(began) < settling {
		v = MustVerify(tb, s.journals()...)
		if v.OK && v.Settled && v.OnTheWay == 0 && v.Books != nil && v.Books.Open == 0 {
			return v, time.Since(began)
		}
		<-time.After(100 * time.Millisecond)
	}
	tb.Fatalf("it does not settle, after %v: %s\n%s", time.Since(began).Round(time.Second), s.describe(v), s.tails(15))
	return v, 0
}

// describe lists the open work, and the deployables that have it.
func (s *deployed) describe(v verification) string {
	text := fmt.Sprintf("settled %v, %d waiting, %d on the way, %d delayed; wrong: %q", v.Settled, v.waiting(), v.OnTheWay, v.Stats.Delayed, v.Wrong)
	if v.Books != nil {
		text += fmt.Sprintf("; %d of %d orders open", v.Books.Open, v.Books.Orders)
	}
	for _, sub := range v.Stats.Subscriptions {
		if sub.Kind == "bus" && sub.Lag > 0 {
			text += fmt.Sprintf("\n\t%s has %d events before it", sub.Name, sub.Lag)
		}
	}
	for _, a := range v.Journals {
		text += fmt.Sprintf("\n\t%s: %v, %v", a.Path, a.Stats.Deliveries, a.Stats.DeadLetters)
	}
	return text
}

// settledShop is the end of a round: no work is left, and no mistake was found.
type settledShop struct {
	events, copies int // emitted, and taken in from other deployables
	orders         int
	took           time.Duration // time until no work was left
}

func (a settledShop) String() string {
	return fmt.Sprintf("%d orders, %d events, %d of them taken in elsewhere, settled in %v", a.orders, a.events, a.copies, a.took.Round(10*time.Millisecond))
}

// MustAudit waits until no work is left, and compares all journals with the answers to customers, with each other,
// and with the acts of the gateway and the carrier.
func (s *deployed) MustAudit(tb testing.TB, c *customers) settledShop {
	tb.Helper()
	v, took := s.MustSettle(tb)
	s.mustHaveNoComplaints(tb)
	is := settledShop{took: took, orders: v.Books.Orders}
	for status, n := range v.Stats.DeadLetters {
		if n > 0 {
			tb.Errorf("%d dead letters are %s", n, status)
		}
	}
	s.verifyAsPeopleDo(tb)
	err := readJournals(tb.Context(), s.journals(), func(readers []*sqlite.Reader) error {
		at := func(module string) *sqlite.Reader { return readers[slices.Index(s.all, s.runningModule(module))] }
		s.compareOutside(tb, at("payment"), at("shipping"))
		s.compareOrders(tb, c, at("order"), at("notification"))
		return s.compareEvents(tb, readers, &is)
	})
	if err != nil {
		tb.Fatal(err)
	}
	if tb.Failed() {
		tb.Fatalf("the audit failed: see above\n%s", s.tails(15))
	}
	return is
}

// verifyAsPeopleDo runs the command verify.
func (s *deployed) verifyAsPeopleDo(tb testing.TB) {
	tb.Helper()
	args := []string{"verify", "--json"}
	for _, path := range s.journals() {
		args = append(args, "--journal", path)
	}
	cmd := exec.CommandContext(tb.Context(), s.binary, args...)
	cmd.Env = s.environ()
	var progress strings.Builder
	cmd.Stderr = &progress
	out, err := cmd.Output()
	var v verification
	if err = errors.Join(err, json.Unmarshal(out, &v)); err != nil || !v.OK || !v.Settled {
		tb.Errorf("troupe verify: %v, settled %v, %q\n%.2000s\n%.2000s", err, v.Settled, v.Wrong, out, progress.String())
	}
}

// compareOutside compares the books with the acts of the gateway and the carrier.
func (s *deployed) compareOutside(tb testing.TB, money, parcels *sqlite.Reader) {
	tb.Helper()
	gateway, err := sim.ReadLedger(worldPath(money.Path()))
	if err != nil {
		tb.Fatal(err)
	}
	carrier, err := sim.ReadLedger(worldPath(parcels.Path()))
	if err != nil {
		tb.Fatal(err)
	}
	believed, done := map[string]onRecord{}, map[string]sim.Account{}
	for id, a := range carrier.Orders {
		believed[id], done[id] = onRecord{}, sim.Account{Dispatches: a.Dispatches, Undeliverable: a.Undeliverable}
	}
	for id, a := range gateway.Orders {
		a.Dispatches, a.Undeliverable = done[id].Dispatches, done[id].Undeliverable
		believed[id], done[id] = onRecord{}, a
	}
	err = errors.Join(
		money.View(tb.Context(), func(tx *sql.Tx) error {
			return payment.Each(tb.Context(), tx, func(f payment.Fact) error {
				believed[f.OrderID] = onRecord{charged: f.Charged, refunded: f.Refunded}
				return nil
			})
		}),
		parcels.View(tb.Context(), func(tx *sql.Tx) error {
			return shipping.Each(tb.Context(), tx, func(f shipping.Fact) error {
				b := believed[f.OrderID]
				b.parcel = f.Status
				believed[f.OrderID] = b
				return nil
			})
		}))
	if err != nil {
		tb.Fatal(err)
	}
	for id, b := range believed {
		for _, what := range b.differences(done[id], true) {
			tb.Errorf("order %s: %s", id, what)
		}
	}
}

// compareOrders compares the orders with the answers to customers: each acknowledged order exists, no other order
// exists, and each has a single end, with a single notice to its customer.
func (s *deployed) compareOrders(tb testing.TB, c *customers, orders, notices *sqlite.Reader) {
	tb.Helper()
	ends, told := map[string]order.Status{}, map[string]int{}
	err := errors.Join(
		orders.View(tb.Context(), func(tx *sql.Tx) error {
			return order.Each(tb.Context(), tx, func(f order.Fact) error { ends[f.OrderID] = f.Status; return nil })
		}),
		notices.View(tb.Context(), func(tx *sql.Tx) error {
			return notification.Each(tb.Context(), tx, func(f notification.Fact) error { told[f.OrderID]++; return nil })
		}))
	if err != nil {
		tb.Fatal(err)
	}
	seen := MustCountEvents(tb, orders)
	placed := c.orders()
	for _, id := range placed {
		if ends[id] == "" || ends[id] == order.StatusPlaced {
			tb.Errorf("order %s, which was acknowledged, is %q", id, ends[id])
		}
		if n := seen[id]; n.placed != 1 || n.ended != 1 || told[id] != 1 {
			tb.Errorf("order %s has %d order.placed, %d ends and %d notices, want one of each", id, n.placed, n.ended, told[id])
		}
	}
	if distinct := slices.Compact(placed); len(ends) != len(distinct) || len(distinct) != len(placed) {
		tb.Errorf("there are %d orders; %d were acknowledged, under %d ids", len(ends), len(placed), len(distinct))
	}
}

// identity identifies an event across journals.
type identity struct{ id, kind string }

// held is an event in a journal.
type held struct {
	identity
	source, key string
	sum         [sha256.Size]byte
	at          int // index in the journal
}

// contents are the events in the journal of a deployable.
type contents struct {
	module string // empty for all modules
	list   []held
	by     map[identity]held
}

func readContents(ctx context.Context, module string, r *sqlite.Reader) (c contents, err error) {
	c.module, c.by = module, map[identity]held{}
	err = r.Events(ctx, sqlite.EventFilter{}, func(e *journal.Event) error {
		h := held{identity{e.ID, e.Type}, e.Source, e.Key, sha256.Sum256(e.Data), len(c.list)}
		c.list, c.by[h.identity] = append(c.list, h), h
		return nil
	})
	if err == nil && len(c.by) != len(c.list) {
		err = fmt.Errorf("%s has %d events, but only %d different ones", r.Path(), len(c.list), len(c.by))
	}
	return c, err
}

// compareEvents compares the journals: each event that a module has emitted and another module consumes is in the
// other journal, unchanged and once, and in order within its key.
// it was, once, and what is of one key in the same order.
func (s *deployed) compareEvents(tb testing.TB, readers []*sqlite.Reader, is *settledShop) error {
	consumes := map[string]map[string]bool{} // types by module
	for _, sub := range shopWiring().Subscriptions {
		module := journal.ModuleOf(sub.Name)
		if consumes[module] == nil {
			consumes[module] = map[string]bool{}
		}
		for _, t := range sub.Consumes {
			consumes[module][t] = true
		}
	}
	all := make([]contents, len(readers))
	for i, r := range readers {
		var err error
		if all[i], err = readContents(tb.Context(), s.all[i].modules, r); err != nil {
			return err
		}
	}
	for _, from := range all {
		for _, e := range from.list {
			if e.source == from.module || from.module == everything {
				is.events++
			}
		}
		for _, to := range all {
			if from.module != to.module {
				is.copies += compareTwo(tb, from, to, consumes[to.module])
			}
		}
	}
	return nil
}

// compareTwo compares the events in journal to with the events that from has emitted, and returns their number.
func compareTwo(tb testing.TB, from, to contents, consumes map[string]bool) (copies int) {
	tb.Helper()
	wrong := 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= 5 {
			tb.Errorf(format, args...)
		}
	}
	for _, e := range from.list {
		if e.source != from.module || !consumes[e.kind] {
			continue
		}
		copies++
		switch got, ok := to.by[e.identity]; {
		case !ok:
			complain("%s of %s (%s), which %s has emitted, is not in the journal of %s", e.kind, e.key, e.id, from.module, to.module)
		case got.sum != e.sum || got.key != e.key || got.source != e.source:
			complain("%s of %s (%s) is another one in the journal of %s than in that of %s", e.kind, e.key, e.id, to.module, from.module)
		}
	}
	last := map[string]held{} // by key
	for _, e := range to.list {
		sent, ok := from.by[e.identity]
		if e.source != from.module || !ok {
			continue
		}
		if before := last[e.key]; before.id != "" && before.at > sent.at {
			complain("of key %s, %s (%s) comes before %s (%s) in the journal of %s, and after it in that of %s",
				e.key, before.kind, before.id, e.kind, e.id, to.module, from.module)
		}
		last[e.key] = sent
	}
	if wrong > 5 {
		tb.Errorf("from %s to %s, %d more of the kind", from.module, to.module, wrong-5)
	}
	return copies
}
