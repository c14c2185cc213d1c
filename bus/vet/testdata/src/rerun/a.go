package rerun

import (
	"context"

	"github.com/troupebus/troupe/bus"
)

type answer struct{ ids []string }

func wire(ctx context.Context, m *bus.Module, in []string) (ids []string, sum int, a answer) {
	m.Do(ctx, func(ctx context.Context) (bus.Events, error) {
		for _, id := range in {
			ids = append(ids, id)     // want "the function may run twice for one call, and ids has the additions twice: set ids anew"
			sum += len(id)            // want "sum has the additions twice"
			a.ids = append(a.ids, id) // want "a has the additions twice"
		}
		return nil, nil
	})
	m.Do(ctx, func(ctx context.Context) (bus.Events, error) {
		ids, sum, a.ids = nil, 0, a.ids[:0]
		var own []string
		for _, id := range in {
			ids = append(ids, id)
			own = append(own, id)
			sum += len(id)
			a.ids = append(a.ids, id)
		}
		return nil, nil
	})
	bus.Do(ctx, m, bus.Unit{}, func(ctx context.Context) (int, bus.Events, error) {
		ids = append(ids[:0], in...)
		sum = sum + 1
		ids = append(ids, "more")
		return 0, nil, bus.Commit(ctx, func(context.Context) error {
			sum += 2 //troupe:allow rerun counts the runs
			return nil
		})
	})
	bus.On(m, "a", func(ctx context.Context, in bus.Raw) (bus.Events, error) {
		err := bus.Commit(ctx, func(context.Context) error {
			ids = append(ids, "x") // want "ids has the additions twice"
			return nil
		})
		return nil, err
	})
	m.View(ctx, func(bus.SQL) error {
		ids = append(ids, "read")
		return nil
	})
	return ids, sum, a
}
