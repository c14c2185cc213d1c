package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/internal/shop/workload"
)

// customers place orders all the time, and cancel and return some. What is not answered they ask again, under the same key,
// until it is.
type customers struct {
	shop *deployed
	http http.Client
	plan []workload.Order
	next atomic.Int64 // order

	stop    chan struct{} // closed when they are to come no more
	gone    chan struct{} // closed when they are not to ask again, either
	working sync.WaitGroup

	mu     sync.Mutex
	placed map[string]string // orders that were acknowledged, by key
	asked  int               // requests that were answered with an error, or not at all
	undone int               // cancels and returns that were taken
}

const (
	customersAtOnce = 4
	ordersEvery     = 130 * time.Millisecond // each
)

func newCustomers(shop *deployed, seed uint64) *customers {
	return &customers{shop: shop, plan: workload.Plan(seed, 2000), placed: map[string]string{}, http: http.Client{Timeout: 10 * time.Second}}
}

// come has them place orders until they leave, which is when each of them has got what it asked for, or the test has failed.
func (c *customers) come(tb testing.TB) (leave func()) {
	c.stop, c.gone = make(chan struct{}), make(chan struct{})
	for range customersAtOnce {
		c.working.Go(func() {
			every := time.NewTicker(ordersEvery)
			defer every.Stop()
			for {
				c.order(int(c.next.Add(1)))
				select {
				case <-every.C:
				case <-c.stop:
					return
				}
			}
		})
	}
	return func() {
		close(c.stop)
		if tb.Failed() {
			close(c.gone)
		}
		c.working.Wait()
		c.http.CloseIdleConnections()
	}
}

// count is how many orders were acknowledged.
func (c *customers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.placed)
}

// orders are the ids of those that were acknowledged.
func (c *customers) orders() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Values(c.placed))
}

// order places the order of that number, and does with it what is planned.
func (c *customers) order(number int) {
	o := c.plan[number%len(c.plan)]
	type line struct {
		SKU       string `json:"sku"`
		Quantity  int64  `json:"quantity"`
		UnitPrice int64  `json:"unit_price_cents"`
	}
	type charge struct {
		Code   string `json:"code"`
		Amount int64  `json:"amount_cents"`
	}
	body := struct {
		CustomerID string   `json:"customer_id,omitempty"`
		Lines      []line   `json:"lines"`
		Charges    []charge `json:"charges,omitempty"`
	}{CustomerID: o.CustomerID}
	for _, l := range o.Lines {
		body.Lines = append(body.Lines, line(l))
	}
	for _, e := range o.Charges {
		body.Charges = append(body.Charges, charge(e))
	}
	key := fmt.Sprintf("customer-%d", number)
	var receipt struct{ ID string }
	if status := c.ask("POST", "order", "/api/orders", key, body, &receipt); status != http.StatusAccepted || receipt.ID == "" {
		c.shop.complain("placing order %d is answered with %d", number, status)
		return
	}
	c.mu.Lock()
	c.placed[key] = receipt.ID
	c.mu.Unlock()
	switch o.Fate {
	case workload.CancelEarly:
		c.undo(receipt.ID, "cancel")
	case workload.CancelLate:
		c.working.Go(func() {
			<-time.After(30 * time.Millisecond) // about when the parcel leaves
			c.undo(receipt.ID, "cancel")
		})
	case workload.Return:
		c.working.Go(func() {
			var order struct{ Status string }
			for order.Status == "" || order.Status == "placed" {
				if status := c.ask("GET", "order", "/api/orders/"+receipt.ID+"?wait=5s", "", nil, &order); status != http.StatusOK {
					c.shop.complain("order %s is answered with %d", receipt.ID, status)
					return
				}
				select {
				case <-c.stop: // an order that never ends is for the audit to find
					return
				default:
				}
			}
			c.undo(receipt.ID, "return")
		})
	}
}

// undo asks for a cancel or a return. That it is too late for it is an answer.
func (c *customers) undo(id, how string) {
	status := c.ask("POST", "order", "/api/orders/"+id+"/"+how, "", map[string]string{"reason": "changed their mind"}, nil)
	switch status {
	case http.StatusAccepted:
		c.mu.Lock()
		c.undone++
		c.mu.Unlock()
	case http.StatusConflict:
	default:
		c.shop.complain("%s of order %s is answered with %d", how, id, status)
	}
}

// customerWaits is how long a customer asks for the same.
const customerWaits = 3 * time.Minute

// ask asks the deployable that runs module until it answers with something else than that it cannot now.
func (c *customers) ask(method, module, path, key string, body, answer any) (status int) {
	text, err := json.Marshal(body)
	for began := time.Now(); time.Since(began) < customerWaits; {
		if url := c.shop.runningModule(module).url(); url != "" {
			if status, err = c.askOnce(method, url+path, key, text, answer); err == nil && status < 500 {
				return status
			}
			c.mu.Lock()
			c.asked++
			c.mu.Unlock()
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-c.gone:
			return 0
		}
	}
	c.shop.complain("%s %s: not answered within %v: %d, %v\n%s", method, path, customerWaits, status, err, c.shop.runningModule(module).tail(20))
	return status
}

func (c *customers) askOnce(method, url, key string, body []byte, answer any) (status int, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	if answer == nil || res.StatusCode >= 300 {
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, err
	}
	return res.StatusCode, json.NewDecoder(res.Body).Decode(answer)
}

// deliver fills the shelves.
func (c *customers) mustDeliver(tb testing.TB, seed uint64) {
	for _, item := range workload.Stock(seed) {
		if status := c.ask("PUT", "inventory", "/api/stock/"+item.SKU, "", map[string]int64{"quantity": item.Quantity}, nil); status >= 300 {
			tb.Fatalf("delivering %s is answered with %d", item.SKU, status)
		}
	}
}

// readiness is what /readyz says.
type readiness struct {
	Status string
	Links  []struct{ Topic, Direction, State, Error string }
}

// readiness asks a deployable how it is; an empty one is that it does not say.
func (c *customers) readiness(d *deployable) (h readiness) {
	if status, err := c.askOnce("GET", d.url()+"/readyz", "", nil, &h); err != nil || status != http.StatusOK {
		return readiness{}
	}
	return h
}

// mustBeReady returns when all deployables say that they are, and what goes between them goes.
func (c *customers) mustBeReady(tb testing.TB) {
	tb.Helper()
	for _, d := range c.shop.all {
		c.mustSay(tb, d, "is not ready", func(h readiness) bool { return h.Status == "ready" })
	}
}

// mustSay returns when what d says of itself is as wanted.
func (c *customers) mustSay(tb testing.TB, d *deployable, otherwise string, wanted func(readiness) bool) {
	tb.Helper()
	var last readiness
	for began := time.Now(); time.Since(began) < time.Minute; {
		if last = c.readiness(d); wanted(last) {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	tb.Fatalf("%s %s after a minute: %+v\n%s", d.modules, otherwise, last, d.tail(20))
}
