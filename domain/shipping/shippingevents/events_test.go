package shippingevents

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
		{Dispatched{"o1", "t1"}, "shipping.dispatched", `{"order_id":"o1","tracking":"t1"}`},
		{Undeliverable{"o1", ReasonCancelled}, "shipping.undeliverable", `{"order_id":"o1","reason":"cancelled"}`},
	} {
		text, err := json.Marshal(tt.e)
		if err != nil || string(text) != tt.json || tt.e.EventType() != tt.name || tt.e.EventKey() != "o1" {
			t.Errorf("%s of %s: %s, %v; want %s: %s", tt.e.EventType(), tt.e.EventKey(), text, err, tt.name, tt.json)
		}
	}
}
