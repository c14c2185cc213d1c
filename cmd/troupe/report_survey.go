package main

import (
	"context"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/transports/sqlite"
)

// survey has the courses of orders, in the order in which they were placed.
type survey []*course

// course is the course of an order, from its events.
type course struct {
	id            string
	placed, ended time.Time // ended is zero while the order is open
	completed     bool
	refunded      bool
}

func (c course) straight() bool    { return c.completed && !c.refunded }
func (c course) cancelled() bool   { return !c.ended.IsZero() && !c.completed }
func (c course) compensated() bool { return c.cancelled() && c.refunded }

// readSurvey reads the events after seq.
func readSurvey(ctx context.Context, r *sqlite.Reader, seq int64) (survey, error) {
	var s survey
	byID := map[string]*course{}
	types := []string{
		orderevents.Placed{}.EventType(), orderevents.Completed{}.EventType(), orderevents.Cancelled{}.EventType(),
		paymentevents.Refunded{}.EventType(),
	}
	err := r.Events(ctx, sqlite.EventFilter{Types: types, AfterSeq: seq}, func(e *journal.Event) error {
		c := byID[e.Key]
		switch {
		case e.Type == orderevents.Placed{}.EventType():
			c = &course{id: e.Key, placed: e.Time}
			byID[e.Key] = c
			s = append(s, c)
		case c != nil: // nil: the order was placed before seq, or is a credit note
			c.note(e)
		}
		return nil
	})
	return s, err
}

func (c *course) note(e *journal.Event) {
	switch e.Type {
	case orderevents.Completed{}.EventType():
		c.completed, c.ended = true, e.Time
	case orderevents.Cancelled{}.EventType():
		c.ended = e.Time
	case paymentevents.Refunded{}.EventType():
		c.refunded = true
	}
}

// first returns the smallest id among the orders for which matches returns true, or "". The smallest id, not the
// earliest order, because concurrent customers place orders at random times.
func (s survey) first(matches func(course) bool) string {
	first := ""
	for _, c := range s {
		if matches(*c) && (first == "" || c.id < first) {
			first = c.id
		}
	}
	return first
}

// took returns the durations of all orders that have ended.
func (s survey) took() []time.Duration {
	var took []time.Duration
	for _, c := range s {
		if !c.ended.IsZero() {
			took = append(took, c.ended.Sub(c.placed))
		}
	}
	return took
}

// latencyOf returns the latencies of took, or nil if took is empty. It sorts took.
func latencyOf(took []time.Duration) *latency {
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	at := func(percent int) float64 { // smallest value that at least so many percent do not exceed
		return float64(took[(len(took)*percent+99)/100-1]) / float64(time.Millisecond)
	}
	return &latency{P50: at(50), P95: at(95), P99: at(99)}
}
