package bus

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/internal/keyorder"
	"github.com/troupebus/troupe/bus/internal/migrations"
	"github.com/troupebus/troupe/bus/internal/shape"
	"github.com/troupebus/troupe/bus/journal"
)

// nameOf returns the declared name of the Go type of e, or "" for an undeclared type.
func (b *Bus) nameOf(e Event) string {
	t := goType(e)
	for name, known := range b.types {
		if known.goType == t {
			return name
		}
	}
	return ""
}

// joined returns the errors that err joins, or err alone.
func joined(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// checkOrder returns a mistake for each module that gets events of one key in no order.
func (b *Bus) checkOrder() (errs []error) {
	w := keyorder.Wiring{Emitters: map[string]string{}, First: map[string]bool{}}
	for name, t := range b.types {
		if shape.Keyed(t.goType) {
			w.Emitters[name] = t.emitter
		}
	}
	sites := map[string]string{}
	for _, m := range b.modules {
		maps.Copy(w.First, m.emits)
	}
	for _, s := range b.subscriptions {
		sites[s.name] = s.wiredAt
		w.Subscriptions = append(w.Subscriptions, keyorder.Subscription{
			Name: s.name, Module: s.module.name, Types: s.types(), Emits: slices.Collect(maps.Keys(s.emits)),
			AnyOrder: s.anyOrder,
		})
	}
	for _, g := range w.Unordered() {
		errs = append(errs, at(sites[g.Names[0]], fmt.Errorf("subscriptions %s get events of module %s with one key in no order: "+
			"if the order matters, handle the types in one OnEach, else mark handlers with AnyOrder", strings.Join(g.Names, ", "), g.Emitter)))
	}
	here := func(a, other string) bool { return b.modules[a].runsHere() && b.modules[other].runsHere() }
	for _, t := range b.Wiring().Program("", "").Torn(here) {
		if m := b.modules[journal.ModuleOf(t.Subscription)]; m != nil && m.runsHere() {
			errs = append(errs, at(sites[t.Subscription], fmt.Errorf("subscription %q gets events with one key in no order, because modules %s run in different processes: "+
				"if the order does not matter, mark the handler with AnyOrder, else run these modules with module %s",
				t.Subscription, strings.Join(t.Emitters, ", "), m.name)))
		}
	}
	return errs
}

// check returns the mistakes of a module: ForOutside without Emits, and migrations in the wrong folder.
func (m *Module) check() (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(m.outside)) {
		if emitter := m.bus.types[name].emitter; emitter != m.name {
			errs = append(errs, at(m.wiredAt, fmt.Errorf("module %s marks %q with ForOutside, but does not emit the event: add the event to Emits",
				m.name, name)))
		}
	}
	if m.migrations == nil {
		return errs
	}
	if err := migrations.Check(m.migrations); err != nil {
		errs = append(errs, at(m.wiredAt, fmt.Errorf("migrations of module %s: %w", m.name, err)))
	}
	return errs
}
