package bus

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
)

// Wiring is the declarations of the modules of a Bus: everything durable, in an order that is the same in every run.
type Wiring struct {
	Events        []journal.ProgramEvent        // by type; the emitter is "" when no module has declared to emit the type
	Subscriptions []journal.ProgramSubscription // by name, without the bus's own
	Schedules     []journal.ProgramSchedule     // by name
	Tables        []string                      // modules that have tables, sorted
	Go            map[string]reflect.Type       // by event type: the struct type, never a pointer
}

// Wiring returns the declarations so far, with their mistakes: Check reports mistakes. Wiring does not use the
// journal, and may be called before Run, but not while another goroutine wires.
func (b *Bus) Wiring() Wiring {
	w := Wiring{Go: map[string]reflect.Type{}}
	for _, name := range slices.Sorted(maps.Keys(b.types)) {
		t := b.types[name]
		info := journal.ProgramEvent{Type: name, Version: 1, Emitter: t.Emitter}
		if m := b.modules[t.Emitter]; m != nil {
			info.Outside = m.outside[name]
		}
		if e, ok := reflect.New(t.Go).Interface().(Event); ok {
			info.Version = versionOf(e)
		}
		w.Events, w.Go[name] = append(w.Events, info), t.Go
	}
	for _, s := range b.subscriptions {
		w.Subscriptions = append(w.Subscriptions, journal.ProgramSubscription{
			Name: s.Name, Consumes: s.types(), Emits: slices.Sorted(maps.Keys(s.emits)),
			FromNow: s.fromNow, AnyOrder: s.anyOrder, Was: s.names.Was, Version: s.names.Version,
		})
	}
	for _, s := range b.schedules {
		w.Schedules = append(w.Schedules, journal.ProgramSchedule{
			Name: s.name, Spec: s.spec, Emits: slices.Sorted(maps.Keys(s.emits)),
		})
	}
	for name, m := range b.modules {
		if m.migrations != nil {
			w.Tables = append(w.Tables, name)
		}
	}
	slices.Sort(w.Tables)
	slices.SortStableFunc(w.Schedules, func(a, b journal.ProgramSchedule) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(w.Subscriptions, func(a, b journal.ProgramSubscription) int {
		return cmp.Compare(a.Name, b.Name)
	})
	return w
}

// Program returns w as the declarations of the program called name. Pass the result to the journal that the program
// opens (sqlite.Config.Program).
func (w Wiring) Program(name, version string) *journal.Program {
	return &journal.Program{
		Name: name, Version: version, Events: w.Events, Subscriptions: w.Subscriptions, Schedules: w.Schedules,
	}
}
