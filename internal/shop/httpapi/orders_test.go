package httpapi

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/handlers"
)

// MustCount counts with a query on the journal.
func (s *shop) MustCount(tb testing.TB, query string, args ...any) (n int) {
	tb.Helper()
	err := s.journal.View(tb.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(tb.Context(), query, args...).Scan(&n)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestOrderIsPlacedAndCompleted(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	code, header, body := s.call(t, "POST", "/api/orders",
		`{"customer_id": "c1", "lines": [{"sku": "TEA", "quantity": 2, "unit_price_cents": 250}], "charges": [{"code": "POST", "amount_cents": 100}]}`)
	got := MustDecode[receipt](t, body)
	path := "/api/orders/" + got.ID
	if code != http.StatusAccepted || header.Get("Location") != path || header.Get("Content-Type") != "application/json" || got.Status != order.StatusPlaced {
		t.Fatalf("answer %d %v %s", code, header, body)
	}
	want := map[string]string{"self": path, "events": path + "/events", "cancel": path + "/cancel"}
	if !maps.Equal(got.Links, want) {
		t.Errorf("links %v, want %v", got.Links, want)
	}
	o := s.MustEnd(t, path)
	if o.Status != order.StatusCompleted || o.Total != 600 || o.CustomerID != "c1" || len(o.Lines) != 1 || o.Lines[0].Quantity != 2 || len(o.Charges) != 1 {
		t.Errorf("order %+v", o)
	}
	if o.Links["return"] != path+"/return" || o.Links["cancel"] != "" {
		t.Errorf("links of a completed order: %v", o.Links)
	}
}

func TestOrderIDs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first, second := newOrderID(now), newOrderID(now.Add(time.Millisecond))
	if first >= second || first == newOrderID(now) || len(first) != len("ord-")+26 || !strings.HasPrefix(first, "ord-") {
		t.Errorf("ids %s, %s", first, second)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	s.outside.hold()
	path := s.MustPlace(t, oneTea)

	code, _, body := s.call(t, "GET", path+"?wait=20ms", "")
	if o := MustDecode[orderView](t, body); code != http.StatusOK || o.Status != order.StatusPlaced {
		t.Errorf("when the time is over: %d %s", code, body)
	}
	if code, _, body = s.call(t, "GET", path, ""); code != http.StatusOK || MustDecode[orderView](t, body).Status != order.StatusPlaced {
		t.Errorf("without a wait: %d %s", code, body)
	}

	// Waits that begin before the end: all hear of it.
	var waiting sync.WaitGroup
	for range 10 {
		waiting.Go(func() {
			if o := s.MustEnd(t, path); o.Status != order.StatusCompleted {
				t.Errorf("begun before the end: %s", o.Status)
			}
		})
	}
	s.awaitWatchers(t, strings.TrimPrefix(path, "/api/orders/"), 10)
	close(s.outside.open)
	waiting.Wait()

	// And one that begins after it.
	begun := time.Now()
	if o := s.MustEnd(t, path); o.Status != order.StatusCompleted || time.Since(begun) > 10*time.Second {
		t.Errorf("begun after the end: %s in %v", o.Status, time.Since(begun))
	}
	s.awaitWatchers(t, strings.TrimPrefix(path, "/api/orders/"), 0)
}

// awaitWatchers returns when so many requests watch a flow.
func (s *shop) awaitWatchers(tb testing.TB, flow string, want int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	for tick := time.NewTicker(time.Millisecond); ; {
		got := s.front.Watching(flow)
		if got == want {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("%d watch %s, want %d", got, flow, want)
		}
	}
}

// Orders that end while their waits begin: whichever is first, the wait is answered.
func TestWaitRacesWithTheEnd(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			for range 10 {
				begun := time.Now()
				o := s.MustEnd(t, s.MustPlace(t, oneTea))
				if o.Status != order.StatusCompleted || time.Since(begun) > 20*time.Second {
					t.Errorf("%s after %v", o.Status, time.Since(begun))
				}
			}
		})
	}
	waiting.Wait()
}

func TestSameKeyIsTheSameOrder(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	const parallel = 50
	ids := make([]string, parallel)
	var asking sync.WaitGroup
	for i := range parallel {
		asking.Go(func() {
			body := oneTea
			if i%2 == 1 { // the same order, spelled differently
				body = `{"lines":[{"unit_price_cents":250,"quantity":1,"sku":"TEA"}],"customer_id":"c1","charges":[]}`
			}
			r := s.MustRequest(t, "POST", "/api/orders", body)
			r.Header.Set(keyHeader, "key-1")
			answer := s.do(t, r)
			if answer.StatusCode != http.StatusAccepted {
				t.Errorf("request %d: %s", i, answer.Status)
			}
			ids[i] = answer.Header.Get("Location")
		})
	}
	asking.Wait()
	if distinct := slices.Compact(slices.Sorted(slices.Values(ids))); len(distinct) != 1 || distinct[0] == "" {
		t.Errorf("orders: %q, want one", distinct)
	}
	if n := s.MustCount(t, "SELECT count(*) FROM events WHERE type = 'order.placed'"); n != 1 {
		t.Errorf("%d orders are placed, want 1", n)
	}

	s.MustEnd(t, ids[0])
	r := s.MustRequest(t, "POST", "/api/orders", oneTea)
	r.Header.Set(keyHeader, "key-1")
	if answer := s.do(t, r); answer.StatusCode != http.StatusAccepted || answer.Header.Get("Location") != ids[0] {
		t.Errorf("asked again after the end: %s %s", answer.Status, answer.Header.Get("Location"))
	}
}

// All events that follow from a request have the traceparent of the request, and an invalid one is ignored.
func TestTraceparent(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for n, header := range []string{parent, "00-xyz", parent + "\xff"} {
		r := s.MustRequest(t, "POST", "/api/orders", oneTea)
		r.Header["Traceparent"] = []string{header}
		answer := s.do(t, r)
		if answer.StatusCode != http.StatusAccepted {
			t.Errorf("%q: %s", header, answer.Status)
			continue
		}
		s.MustEnd(t, answer.Header.Get("Location"))
		const with = "SELECT count(*) FROM events WHERE metadata ->> 'ce_traceparent' = '" + parent + "'"
		if got := s.MustCount(t, with); got != 5 {
			t.Errorf("after request %d, %d events have the traceparent, want 5", n+1, got)
		}
	}
}

func TestKeyOfARefusedOrderIsFree(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	for i, c := range []struct {
		body string
		code int
	}{{`{"lines": [], "charges": [{"code": "D", "amount_cents": -1}]}`, http.StatusUnprocessableEntity}, {oneTea, http.StatusAccepted}} {
		r := s.MustRequest(t, "POST", "/api/orders", c.body)
		r.Header.Set(keyHeader, "key-1")
		if answer := s.do(t, r); answer.StatusCode != c.code {
			t.Errorf("request %d: %s, want %d", i, answer.Status, c.code)
		}
	}
}

func TestCancelAndReturn(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	path := s.MustPlace(t, oneTea)
	if o := s.MustEnd(t, path); o.Status != order.StatusCompleted {
		t.Fatalf("order is %s", o.Status)
	}
	code, _, body := s.call(t, "POST", path+"/cancel", `{"reason": "changed my mind"}`)
	p := MustDecode[problem](t, body)
	if code != http.StatusConflict || p.Type != typed("too-late") || !maps.Equal(p.Possible, map[string]string{"return": path + "/return"}) {
		t.Errorf("cancel of a completed order: %d %s", code, body)
	}
	for range 2 { // the second is a repetition
		code, _, body = s.call(t, "POST", path+"/return", `{"reason": "too small"}`)
		if got := MustDecode[receipt](t, body); code != http.StatusAccepted || got.Status != order.StatusReturned {
			t.Errorf("return: %d %s", code, body)
		}
	}
	code, _, body = s.call(t, "POST", path+"/cancel", `{"reason": "no"}`)
	if p := MustDecode[problem](t, body); code != http.StatusConflict || p.Possible == nil || len(p.Possible) != 0 {
		t.Errorf("cancel of a returned order: %d %s", code, body)
	}
}

func TestCancelOfAnOpenOrder(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	s.outside.hold()
	path := s.MustPlace(t, oneTea)
	code, _, body := s.call(t, "POST", path+"/return", `{"reason": "too early"}`)
	if p := MustDecode[problem](t, body); code != http.StatusConflict || !maps.Equal(p.Possible, map[string]string{"cancel": path + "/cancel"}) {
		t.Errorf("return of an open order: %d %s", code, body)
	}
	for range 2 { // the second is a repetition
		code, _, body = s.call(t, "POST", path+"/cancel", `{"reason": "changed my mind"}`)
		if got := MustDecode[receipt](t, body); code != http.StatusAccepted || got.ID == "" || got.Links["cancel"] != "" {
			t.Errorf("cancel: %d %s", code, body)
		}
	}
	close(s.outside.open)
	if o := s.MustEnd(t, path); !o.CancelRequested || o.Status == order.StatusCompleted || o.Reason == "" {
		t.Errorf("order ended as %+v", o)
	}
}

func TestStock(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	const path = "/api/stock/A%2FB%20c"
	want := stockView{SKU: "A/B c", Initial: 7, OnHand: 7}
	for _, c := range []struct {
		method, body string
		code         int
		location     string
	}{
		{"PUT", `{"quantity": 7}`, http.StatusCreated, path},
		{"PUT", `{"quantity": 9}`, http.StatusOK, ""},
		{"GET", "", http.StatusOK, ""},
	} {
		code, header, body := s.call(t, c.method, path, c.body)
		if got := MustDecode[stockView](t, body); code != c.code || got != want || header.Get("Location") != c.location {
			t.Errorf("%s %s: %d %v %s", c.method, c.body, code, header, body)
		}
	}
	s.MustEnd(t, s.MustPlace(t, `{"lines": [{"sku": "A/B c", "quantity": 3, "unit_price_cents": 1}]}`))
	if _, _, body := s.call(t, "GET", path, ""); MustDecode[stockView](t, body).OnHand != 4 {
		t.Errorf("after a sale of 3: %s", body)
	}
}

// Every event about the largest order that can be placed must fit the bus, or an order could be placed that cannot end.
func TestLargestOrderEnds(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	var lines []string
	var deliveries []handlers.Delivery
	for i := range order.MaxLines {
		sku := fmt.Sprintf("%04d%s", i, strings.Repeat("<", order.MaxName-4)) // grows sixfold as an event
		lines = append(lines, `{"sku": "`+sku+`", "quantity": 1, "unit_price_cents": 1}`)
		deliveries = append(deliveries, handlers.Delivery{SKU: sku, Quantity: 1})
	}
	if _, err := s.api.cfg.Stock.Receive(t.Context(), deliveries); err != nil {
		t.Fatal(err)
	}
	path := s.MustPlace(t, `{"lines": [`+strings.Join(lines, ",")+`]}`)
	if o := s.MustEnd(t, path); o.Status != order.StatusCompleted {
		t.Errorf("order is %s", o.Status)
	}
	if code, _, body := s.call(t, "POST", path+"/return", `{"reason": "`+strings.Repeat("<", maxReason)+`"}`); code != http.StatusAccepted {
		t.Errorf("return: %d %s", code, body)
	}
}
