package paymentevents

import (
	"encoding/json"
	"testing"
)

type event interface {
	EventType() string
	EventKey() string
}

// What is on the wire is in other people's journals: a change here breaks them.
func TestOnTheWire(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		e    event
		name string
		json string
	}{
		{Charged{"o1", 1500, "r1"}, "payment.charged", `{"order_id":"o1","amount_cents":1500,"reference":"r1"}`},
		{Declined{"o1", ReasonCancelled}, "payment.declined", `{"order_id":"o1","reason":"cancelled"}`},
		{Refunded{"o1", 1500, "r1", ReasonUndeliverable}, "payment.refunded",
			`{"order_id":"o1","amount_cents":1500,"reference":"r1","reason":"undeliverable"}`},
		{Refunded{"o1", 1500, "r1", ReasonReturned}, "payment.refunded",
			`{"order_id":"o1","amount_cents":1500,"reference":"r1","reason":"returned"}`},
	} {
		text, err := json.Marshal(tt.e)
		if err != nil || string(text) != tt.json || tt.e.EventType() != tt.name || tt.e.EventKey() != "o1" {
			t.Errorf("%s of %s: %s, %v; want %s: %s", tt.e.EventType(), tt.e.EventKey(), text, err, tt.name, tt.json)
		}
	}
}
