package orderevents

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
	lines := []Line{{SKU: "85123A", Quantity: 6, UnitPrice: 255}}
	for _, tt := range []struct {
		e    event
		name string
		json string
	}{
		{Placed{"o1", "c1", lines, []Charge{{"D", -30}}, 1500}, "order.placed",
			`{"order_id":"o1","customer_id":"c1","lines":[{"sku":"85123A","quantity":6,"unit_price_cents":255}],"charges":[{"code":"D","amount_cents":-30}],"total_cents":1500}`},
		{CancelRequested{"o1", "why"}, "order.cancel_requested", `{"order_id":"o1","reason":"why"}`},
		{Returned{"o1", lines, 1530, "why", true}, "order.returned",
			`{"order_id":"o1","lines":[{"sku":"85123A","quantity":6,"unit_price_cents":255}],"refund_cents":1530,"reason":"why","credit":true}`},
		{Completed{"o1", "c1", 1500}, "order.completed", `{"order_id":"o1","customer_id":"c1","total_cents":1500}`},
		{Cancelled{"o1", "c1", "why"}, "order.cancelled", `{"order_id":"o1","customer_id":"c1","reason":"why"}`},
	} {
		text, err := json.Marshal(tt.e)
		if err != nil || string(text) != tt.json || tt.e.EventType() != tt.name || tt.e.EventKey() != "o1" {
			t.Errorf("%s of %s: %s, %v; want %s: %s", tt.e.EventType(), tt.e.EventKey(), text, err, tt.name, tt.json)
		}
	}
}
