// Package mistaken has mistakes for the command vet.
package mistaken

import (
	"context"
	"time"

	"github.com/troupebus/troupe/bus"
)

// Ticked has a time.
type Ticked struct{ At time.Time }

// EventType implements bus.Event.
func (Ticked) EventType() string { return "clock.ticked" }

// EventKey implements bus.Event.
func (Ticked) EventKey() string { return "" }

// Wire wires a handler with two mistakes.
func Wire(m *bus.Module) {
	bus.On(m, "tick", func(ctx context.Context, e Ticked) (bus.Events, error) {
		bus.Emit(e)
		return bus.Emit(Ticked{At: time.Now()}), nil
	}).Emits(Ticked{})
}
