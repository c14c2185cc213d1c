package handlers_test

import (
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/handlers"
)

// What is on the wire and in journals of old is written once: event types, their versions, keys and shapes, and the names
// of subscriptions. A change to any of them shows here, with what it breaks.
func TestWhatIsWrittenOnceStays(t *testing.T) {
	b := bus.New(nil, bus.Config{})
	handlers.Order(b)
	handlers.Inventory(b)
	handlers.Payment(b, nil, 1)
	handlers.Shipping(b, nil, 1)
	handlers.Notification(b)
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	bustest.Contract(t, b, filepath.Join("testdata", "contract.json"))
}
