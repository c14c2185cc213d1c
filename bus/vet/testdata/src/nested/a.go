package nested

import (
	"context"

	"github.com/troupebus/troupe/bus"
)

type e struct{}

func (e) EventType() string { return "e" }

type desk struct {
	*bus.Bus
	m *bus.Module
}

func (d desk) wire() {
	bus.On(d.m, "a", func(ctx context.Context, _ e) (bus.Events, error) {
		d.m.Publish(context.Background(), e{})                                     // want "Module.Publish in a handler is refused, whatever its context: return the events"
		d.m.Do(ctx, func(context.Context) (bus.Events, error) { return nil, nil }) // want "Module.Do in a handler"
		d.m.View(ctx, func(bus.SQL) error { return nil })                          // want "Module.View in a handler .*: read through bus.Tx"
		go func() { d.m.Publish(context.Background(), e{}) }()                     // want "Module.Publish in a handler"
		d.tell()                                                                   // want "this call leads to Module.Publish, which is refused in a handler"
		d.deeper()                                                                 // want "this call leads to Module.Publish"
		d.harmless()
		return nil, bus.Commit(ctx, func(ctx context.Context) error {
			_, err := d.m.Publish(ctx, e{}) // want "Module.Publish in work with a transaction"
			return err
		})
	}).Emits(e{}).ParkKey()
	bus.On(d.m, "b", d.named)
	bus.On(d.m, "c", func(ctx context.Context, _ e) (bus.Events, error) {
		d.View(ctx, func(bus.SQL) error { return nil }) // an external handler reads a snapshot
		return bus.Emit(e{}).Also(func(ctx context.Context) error {
			return d.View(ctx, func(bus.SQL) error { return nil }) // want "Bus.View in work with a transaction"
		}), nil
	}).Emits(e{}).External(2)
	h := bus.On(d.m, "d", func(ctx context.Context, _ e) (bus.Events, error) {
		return nil, d.m.View(ctx, func(bus.SQL) error { return nil })
	})
	h.External(1)
	bus.OnEach(d.m, "e", bus.Of(func(ctx context.Context, _ e) (bus.Events, error) {
		return nil, d.m.View(ctx, func(bus.SQL) error { return nil }) // want "Module.View in a handler"
	})).Emits(e{})
	bus.OnEach(d.m, "f", bus.Of(func(ctx context.Context, _ e) (bus.Events, error) {
		return nil, d.m.View(ctx, func(bus.SQL) error { return nil })
	})).External(1)
}

func (d desk) named(ctx context.Context, _ e) (bus.Events, error) {
	_, err := d.m.Publish(context.WithoutCancel(ctx), e{}) // want "Module.Publish in a handler"
	return nil, err
}

func (d desk) tell()     { d.m.Publish(context.Background(), e{}) }
func (d desk) deeper()   { d.tell() }
func (d desk) harmless() { d.m.Publish(context.Background(), e{}) } //troupe:allow nested shows a comment in a called function

func (d desk) unit(ctx context.Context) error {
	_, _, err := bus.Do(ctx, d.m, bus.Unit{}, func(ctx context.Context) (int, bus.Events, error) {
		d.View(ctx, func(bus.SQL) error { return nil }) // want "Bus.View in a unit of work"
		d.tell()                                        //troupe:allow nested a test of the refusal
		return 1, nil, nil
	})
	d.tell()
	return err
}
