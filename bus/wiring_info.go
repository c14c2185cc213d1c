package bus

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
)

// Wiring is what the modules of a Bus have declared: what is durable about them, in an order that does not change from run
// to run.
type Wiring struct {
	Events        []EventInfo        // by type
	Subscriptions []SubscriptionInfo // by name, without the bus's own
	Tables        []string           // modules that have tables, sorted
}

// EventInfo is an event type that a module emits or consumes.
type EventInfo struct {
	Type    string       // its identity on the wire
	Version int          // of its shape, from 1
	Emitter string       // the module that emits it; "" when none has declared to
	Outside bool         // it is meant for consumers outside of the program, too (Module.ForOutside)
	Go      reflect.Type // what carries it, never a pointer to it; *Go and perhaps Go are an Event
}

// SubscriptionInfo is a handler.
type SubscriptionInfo struct {
	Name     string   // durable, "module/name"
	Consumes string   // the type of event; "" when that is a mistake in the wiring
	Emits    []string // the types that it may emit, sorted
	FromNow  bool     // it began behind the newest event
}

// Wiring returns what has been wired so far, mistakes included: Check reports these. It asks nothing of the journal, and may
// be called before Run, but not while another goroutine wires.
func (b *Bus) Wiring() Wiring {
	var w Wiring
	for _, name := range slices.Sorted(maps.Keys(b.types)) {
		t := b.types[name]
		info := EventInfo{Type: name, Version: 1, Emitter: t.emitter, Go: t.goType}
		if m := b.modules[t.emitter]; m != nil {
			info.Outside = m.outside[name]
		}
		if e, ok := reflect.New(t.goType).Interface().(Event); ok {
			info.Version = versionOf(e)
		}
		w.Events = append(w.Events, info)
	}
	for _, s := range b.subscriptions {
		w.Subscriptions = append(w.Subscriptions, SubscriptionInfo{
			Name: s.name, Consumes: s.eventType, Emits: slices.Sorted(maps.Keys(s.emits)), FromNow: s.fromNow,
		})
	}
	for name, m := range b.modules {
		if m.migrations != nil {
			w.Tables = append(w.Tables, name)
		}
	}
	slices.Sort(w.Tables)
	slices.SortStableFunc(w.Subscriptions, func(a, b SubscriptionInfo) int { return cmp.Compare(a.Name, b.Name) })
	return w
}

// Program returns w as the declarations of the program called name, for the journal that the program opens (sqlite.Config.Program).
func (w Wiring) Program(name, version string) *journal.Program {
	p := &journal.Program{Name: name, Version: version}
	for _, e := range w.Events {
		p.Events = append(p.Events, journal.ProgramEvent{Type: e.Type, Version: e.Version, Emitter: e.Emitter, Outside: e.Outside})
	}
	for _, s := range w.Subscriptions {
		p.Subscriptions = append(p.Subscriptions, journal.ProgramSubscription{Name: s.Name, Consumes: s.Consumes, Emits: s.Emits, FromNow: s.FromNow})
	}
	return p
}
