package bus

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/troupebus/troupe/bus/internal/payload"
	"github.com/troupebus/troupe/bus/journal"
)

// Wiring is the declarations of the modules of a Bus: everything durable, in an order that is the same in every run.
type Wiring struct {
	Events        []EventInfo        // by type
	Subscriptions []SubscriptionInfo // by name, without the bus's own
	Schedules     []ScheduleInfo     // by name
	Tables        []string           // modules that have tables, sorted
}

// ScheduleInfo describes a schedule; see Module.Every.
type ScheduleInfo struct {
	Name  string   // durable, "module/name"
	Spec  string   // a duration or a cron specification
	Emits []string // the event types that the schedule may emit, sorted
}

// EventInfo is an event type that a module emits or consumes.
type EventInfo struct {
	Type    string       // the name on the wire
	Version int          // of the shape, from 1
	Emitter string       // the module that emits the type; "" when no module has declared to
	Outside bool         // also for consumers outside of the program (Module.ForOutside)
	Go      reflect.Type // the struct type, never a pointer; *Go implements Event, and Go may

	ContentType string // of the codec; "" for JSON
	Schema      string // of the codec; "" without a schema
	Encrypted   bool   // the payloads are encrypted
}

// SubscriptionInfo describes a handler.
type SubscriptionInfo struct {
	Name     string   // durable, "module/name"
	Consumes []string // the event types, sorted; without the types of mistakes in the wiring
	Emits    []string // the event types that the handler may emit, sorted
	FromNow  bool     // a new subscription starts after the newest event
	Was      []string // earlier names, "module/name", the newest first
	Version  int      // of Handler.Rebuild; 0 without
	AnyOrder bool     // the handler does not depend on the order of events of different types
}

// Wiring returns the declarations so far, with their mistakes: Check reports mistakes. Wiring does not use the
// journal, and may be called before Run, but not while another goroutine wires.
func (b *Bus) Wiring() Wiring {
	var w Wiring
	for _, name := range slices.Sorted(maps.Keys(b.types)) {
		t := b.types[name]
		info := EventInfo{Type: name, Version: 1, Emitter: t.Emitter, Go: t.Go}
		info.ContentType, info.Schema, info.Encrypted = payload.About(t.Go)
		if m := b.modules[t.Emitter]; m != nil {
			info.Outside = m.outside[name]
		}
		if e, ok := reflect.New(t.Go).Interface().(Event); ok {
			info.Version = versionOf(e)
		}
		w.Events = append(w.Events, info)
	}
	for _, s := range b.subscriptions {
		w.Subscriptions = append(w.Subscriptions, SubscriptionInfo{
			Name: s.Name, Consumes: s.types(), Emits: slices.Sorted(maps.Keys(s.emits)),
			FromNow: s.fromNow, AnyOrder: s.anyOrder, Was: s.names.Was, Version: s.names.Version,
		})
	}
	for _, s := range b.schedules {
		w.Schedules = append(w.Schedules, ScheduleInfo{s.name, s.spec, slices.Sorted(maps.Keys(s.emits))})
	}
	slices.SortStableFunc(w.Schedules, func(a, b ScheduleInfo) int { return cmp.Compare(a.Name, b.Name) })
	for name, m := range b.modules {
		if m.migrations != nil {
			w.Tables = append(w.Tables, name)
		}
	}
	slices.Sort(w.Tables)
	slices.SortStableFunc(w.Subscriptions, func(a, b SubscriptionInfo) int { return cmp.Compare(a.Name, b.Name) })
	return w
}

// Program returns w as the declarations of the program called name. Pass the result to the journal that the program
// opens (sqlite.Config.Program).
func (w Wiring) Program(name, version string) *journal.Program {
	p := &journal.Program{Name: name, Version: version}
	for _, e := range w.Events {
		p.Events = append(p.Events, journal.ProgramEvent{
			Type: e.Type, Version: e.Version, Emitter: e.Emitter, Outside: e.Outside,
		})
	}
	for _, s := range w.Subscriptions {
		p.Subscriptions = append(p.Subscriptions, journal.ProgramSubscription{
			Name: s.Name, Consumes: s.Consumes, Emits: s.Emits,
			FromNow: s.FromNow, AnyOrder: s.AnyOrder, Was: s.Was, Version: s.Version,
		})
	}
	for _, s := range w.Schedules {
		p.Schedules = append(p.Schedules, journal.ProgramSchedule(s))
	}
	return p
}
