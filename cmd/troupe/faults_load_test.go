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

// customers place orders all the time, and cancel and return some of them. A customer repeats a request without an
// answer, under the same key.
type customers struct {
	shop *deployed
	http http.Client
	plan []workload.Order
	next atomic.Int64 // order

	stop    chan struct{} // closed when customers must place no more orders
	gone    chan struct{} // closed when customers must not repeat requests, either
	working sync.WaitGroup

	mu     sync.Mutex
	placed map[string]string // acknowledged orders, by key
	asked  int               // requests with an error or without an answer
	undone int               // accepted cancels and returns
}

const (
	customersAtOnce = 4
	ordersEvery     = 130 * time.Millisecond // by each customer
)

func newCustomers(shop *deployed, seed uint64) *customers {
	return &customers{shop: shop, plan: workload.Plan(seed, 2000), placed: map[string]string{}, http: http.Client{Timeout: 10 * time.Second}}
}

// come starts the customers. The function that it returns waits until each has all answers, or until the test has
// failed.
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

// count returns the number of acknowledged orders.
func (c *customers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.placed)
}

// orders returns the ids of the acknowledged orders.
func (c *customers) orders() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Values(c.placed))
}

// order places the order with that number, and cancels or returns it as planned.
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
			<-time.After(30 * time.Millisecond) // about the time at which the parcel leaves
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
				case <-c.stop: // the audit finds an order that never ends
					return
				default:
				}
			}
			c.undo(receipt.ID, "return")
		})
	}
}

// undo sends a cancel or a return. An answer that it is too late is an answer.
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

// customerWaits is the time for which a customer repeats a request.
const customerWaits = 3 * time.Minute

// ask sends a request to the deployable that runs module, until the answer is no temporary error.
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

// deliver receives stock.
func (c *customers) mustDeliver(tb testing.TB, seed uint64) {
	for _, item := range workload.Stock(seed) {
		if status := c.ask("PUT", "inventory", "/api/stock/"+item.SKU, "", map[string]int64{"quantity": item.Quantity}, nil); status >= 300 {
			tb.Fatalf("delivering %s is answered with %d", item.SKU, status)
		}
	}
}

// readiness is the answer of /readyz.
type readiness struct {
	Status string
	Links  []struct{ Topic, Direction, State, Error string }
}

// readiness returns the readiness of a deployable, or an empty readiness without an answer.
func (c *customers) readiness(d *deployable) (h readiness) {
	if status, err := c.askOnce("GET", d.url()+"/readyz", "", nil, &h); err != nil || status != http.StatusOK {
		return readiness{}
	}
	return h
}

// mustBeReady waits until all deployables are ready and all links work.
func (c *customers) mustBeReady(tb testing.TB) {
	tb.Helper()
	for _, d := range c.shop.all {
		c.mustSay(tb, d, "is not ready", func(h readiness) bool { return h.Status == "ready" })
	}
}

// mustSay waits until the readiness of d is as wanted.
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
