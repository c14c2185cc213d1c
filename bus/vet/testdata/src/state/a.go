package state

import (
	"context"
	"sync/atomic"

	"github.com/troupebus/troupe/bus"
)

type e struct{ ID string }

func (e) EventType() string { return "e" }

var (
	seen  = map[string]bool{}
	last  struct{ id string }
	total int
	calls atomic.Int64
)

func wire(m *bus.Module) {
	count := 0
	bus.On(m, "a", func(ctx context.Context, in e) (bus.Events, error) {
		seen[in.ID] = true  // want "a handler writes the package variable seen, which is lost when the process ends"
		last.id = in.ID     // want "the package variable last"
		total++             // want "the package variable total"
		delete(seen, in.ID) // want "the package variable seen"
		total = total + 1   //troupe:allow state a metric
		calls.Add(1)
		count++
		own := map[string]bool{}
		own[in.ID] = seen[in.ID]
		remember(in.ID)
		return nil, nil
	})
	total = 0
}

func remember(id string) { last.id = id } // want "the package variable last"

func reset() { total = 0 }
