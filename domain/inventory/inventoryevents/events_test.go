package inventoryevents

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
		{Reserved{"o1", 1500}, "inventory.reserved", `{"order_id":"o1","total_cents":1500}`},
		{Short{"o1", []string{"a", "b"}}, "inventory.short", `{"order_id":"o1","skus":["a","b"]}`},
		{Released{"o1"}, "inventory.released", `{"order_id":"o1"}`},
	} {
		text, err := json.Marshal(tt.e)
		if err != nil || string(text) != tt.json || tt.e.EventType() != tt.name || tt.e.EventKey() != "o1" {
			t.Errorf("%s of %s: %s, %v; want %s: %s", tt.e.EventType(), tt.e.EventKey(), text, err, tt.name, tt.json)
		}
	}
}
