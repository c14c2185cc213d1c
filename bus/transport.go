package bus

import (
	"context"
	"slices"

	"github.com/troupebus/troupe/bus/wire"
)

// Transport carries events between deployables. A Transport is a Watermill publisher and subscriber with stronger
// promises: a published message survives a crash of the backend, messages with the same key stay in order, and a
// message that was not acknowledged is delivered again. Package transports opens the implementations that ship with
// Troupe. The whole contract is in bus/wire, and package bus/wire/wiretest tests implementations.
type Transport = wire.Transport

// Link is the present state of a relay, which sends events to other deployables, or of an ingest, which reads the
// events of a module elsewhere. Topic names the module or the records, Err is the present problem with advice, and Lag
// is the number of events that a relay has yet to look at.
type Link = wire.Link

func (m *Module) runsHere() bool {
	return m.bus.cfg.Modules == nil || m.name == ownName || slices.Contains(m.bus.cfg.Modules, m.name)
}

// mustRunHere returns an ErrElsewhere when the module runs in another process.
func (m *Module) mustRunHere() error {
	if m.runsHere() {
		return nil
	}
	return &ElsewhereError{Module: m.name, Here: m.bus.cfg.Modules}
}

// openWires opens the relays and ingests.
func (b *Bus) openWires(ctx context.Context) (err error) {
	if b.cfg.Transport == nil {
		return nil
	}
	b.wires, err = wire.Open(ctx, wire.WiresConfig{
		Wiring: b.wireWiring(), Transport: b.cfg.Transport, Journal: b.journal, Logger: b.cfg.Logger, Chance: b.cfg.Chance,
	})
	return err
}

// wireWiring describes the wiring to the wires.
func (b *Bus) wireWiring() wire.Wiring {
	w := wire.Wiring{Here: map[string]bool{}, Emitters: map[string]string{}, Consumed: map[string]bool{}}
	for name, m := range b.modules {
		w.Here[name] = m.runsHere()
	}
	for name, t := range b.types {
		w.Emitters[name] = t.Emitter
	}
	for _, s := range b.subscriptions {
		if s.module.runsHere() {
			for _, t := range s.types() {
				w.Consumed[t] = true
			}
		}
	}
	return w
}

// Links returns the state of every relay and ingest, and none without a Transport. Call Links after Running is closed.
func (b *Bus) Links() []Link {
	if b.cfg.Transport == nil {
		return nil
	}
	return b.wires.Links(b.cfg.Transport.Features())
}
