package bus

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/troupebus/troupe/bus/internal/jsontype"
	"github.com/troupebus/troupe/bus/internal/site"
)

// mistake adds a mistake in the wiring, with the line of the program that made the call. Check reports mistakes.
func (b *Bus) mistake(format string, args ...any) {
	b.mistakes = append(b.mistakes, at(wiringSite(), fmt.Errorf(format, args...)))
}

// wiring panics after Run has begun: a later handler would silently never run.
func (b *Bus) wiring(kind, name string) {
	if b.state.Load() != wired {
		panic(fmt.Sprintf("bus: %s %q is wired after the call of Run: wire everything before Run", kind, name))
	}
}

// at adds the line of the program to err.
func at(site string, err error) error {
	if site == "" {
		return err
	}
	return fmt.Errorf("%s: %w", site, err)
}

func wiringSite() string { return site.Outside(reflect.TypeFor[Bus]().PkgPath()) }

// register adds the type of e, and returns the type's name, or "" for an unusable type.
func (b *Bus) register(e Event) string {
	t := goType(e)
	if t == nil {
		b.mistake("a nil event is declared")
		return ""
	}
	if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && v.IsNil() {
		b.mistake("a nil *%v is declared: declare %v{}", t, t)
		return ""
	}
	name := e.EventType()
	if name == "" {
		b.mistake("%v has an empty EventType", t)
		return ""
	}
	known, ok := b.types[name]
	if ok && known.goType != t {
		b.mistake("event type %q is claimed by %v and by %v: one name, one type", name, known.goType, t)
	}
	if !ok {
		b.types[name] = eventType{goType: t, wiredAt: wiringSite()}
		if err := jsontype.Check(t); err != nil {
			b.mistake("event type %q: %w", name, err)
		}
	}
	return name
}

// declare registers e as an event of module, and returns the type's name, or "" for an unusable type.
func (b *Bus) declare(e Event, module string) string {
	name := b.register(e)
	if name == "" {
		return ""
	}
	t := b.types[name]
	if t.emitter != "" && t.emitter != module {
		b.mistake("event type %q is emitted by module %s and by module %s: a fact has one source", name, t.emitter, module)
	}
	t.emitter = cmp.Or(t.emitter, module)
	b.types[name] = t
	return name
}

// Check returns all mistakes in the wiring in one ErrWiring, each with the line of the program when known:
//
//   - a name that is used twice, or that Handler.Was gives to two subscriptions,
//   - an external subscription with Handler.Rebuild,
//   - an event type of two Go types or two emitting modules,
//   - an event that is consumed but never emitted,
//   - an event that is emitted but never consumed, and not marked with ForOutside,
//   - an event that encoding/json cannot encode,
//   - events that reach a module in no order; see Handler.AnyOrder,
//   - a migration in the wrong folder.
//
// Run calls Check first. A test may call Check without Run.
func (b *Bus) Check() error {
	errs := slices.Clone(b.mistakes)
	names, consumed := map[string]bool{}, map[string]bool{}
	for _, s := range b.subscriptions {
		if names[s.name] {
			errs = append(errs, at(s.wiredAt, fmt.Errorf("subscription %q is used twice", s.name)))
		}
		names[s.name] = true
		if len(s.patterns) > 0 && len(s.types()) == 0 {
			errs = append(errs, at(s.wiredAt, fmt.Errorf("subscription %q: no module emits an event type like %q", s.name, s.patterns)))
		}
		for _, t := range s.types() {
			consumed[t] = consumed[t] || len(s.patterns) == 0
			if b.types[t].emitter == "" {
				errs = append(errs, at(s.wiredAt, fmt.Errorf("subscription %q consumes %q, which no module declares to emit: add the event to Emits",
					s.name, t)))
			}
		}
	}
	for _, s := range b.schedules {
		if names[s.name] {
			errs = append(errs, at(s.wiredAt, fmt.Errorf("schedule %q has the name of another schedule or subscription", s.name)))
		}
		if names[s.name] = true; len(s.emits) == 0 {
			errs = append(errs, at(s.wiredAt, fmt.Errorf("schedule %q emits no event: add the event to Emits", s.name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.types)) {
		t := b.types[name]
		outside := t.emitter != "" && b.modules[t.emitter] != nil && b.modules[t.emitter].outside[name]
		if t.emitter != "" && !consumed[name] && !outside {
			errs = append(errs, at(t.wiredAt, fmt.Errorf("event type %q, emitted by module %s, has no consumer: if intended, mark the event with ForOutside",
				name, t.emitter)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.modules)) {
		errs = append(errs, b.modules[name].check()...)
	}
	errs = slices.Concat(errs, b.checkModules(), b.checkNames(), b.checkOrder())
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: one mistake:\n%w", ErrWiring, errs[0])
	default:
		return fmt.Errorf("%w: %d mistakes:\n%w", ErrWiring, len(errs), errors.Join(errs...))
	}
}
