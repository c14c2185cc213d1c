package bus

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/troupebus/troupe/bus/internal/payload"
	"github.com/troupebus/troupe/bus/internal/site"
	"github.com/troupebus/troupe/bus/internal/wiring"
)

// mistake adds a mistake in the wiring, with the line of the program that made the call. Check reports mistakes.
func (b *Bus) mistake(format string, args ...any) {
	b.addMistakes(wiringSite(), []error{fmt.Errorf(format, args...)})
}

func (b *Bus) addMistakes(site string, mistakes []error) {
	for _, err := range mistakes {
		b.mistakes = append(b.mistakes, wiring.At(site, err))
	}
}

// mustBeOpen panics after Run has begun: a later handler would silently never run.
func (b *Bus) mustBeOpen(kind, name string) {
	if b.state.Load() != wired {
		panic(fmt.Sprintf("bus: %s %q is wired after the call of Run: wire everything before Run", kind, name))
	}
}

func wiringSite() string { return site.Outside(reflect.TypeFor[Bus]().PkgPath()) }

// usable returns the mistake in t, the struct type of an event.
func (b *Bus) usable(t reflect.Type) error { return payload.Check(t, b.cfg.Keys != nil) }

// register adds the type of e, and returns the type's name, or "" for an unusable type.
func (b *Bus) register(e Event) string {
	site := wiringSite()
	name, mistakes := b.types.Register(e, site, b.usable)
	b.addMistakes(site, mistakes)
	return name
}

// declare registers e as an event of module, and returns the type's name, or "" for an unusable type.
func (b *Bus) declare(e Event, module string) string {
	site := wiringSite()
	name, mistakes := b.types.Declare(e, module, site, b.usable)
	b.addMistakes(site, mistakes)
	return name
}

// Check returns all mistakes in the wiring in one ErrWiring, each with the line of the program when known:
//
//   - a name that is used twice, or that Handler.Was gives to two subscriptions,
//   - an external subscription with Handler.Rebuild,
//   - an event type of two Go types or two emitting modules,
//   - an event that is consumed but never emitted,
//   - an event that is emitted but never consumed, and not marked with ForOutside,
//   - an event that encoding/json cannot encode, without a codec,
//   - events that reach a module in no order; see Handler.AnyOrder,
//   - a migration in the wrong folder.
//
// Run calls Check first. A test may call Check without Run.
func (b *Bus) Check() error {
	w := wiring.Wiring{
		Types: b.types, Modules: map[string]wiring.Module{}, Chosen: b.cfg.Modules, Connected: b.cfg.Transport != nil,
		Program: b.Wiring().Program("", ""),
	}
	for name, m := range b.modules {
		w.Modules[name] = wiring.Module{
			Here: m.runsHere(), Emits: m.emits, Outside: m.outside, Migrations: m.migrations, Site: m.wiredAt,
		}
	}
	for _, s := range b.subscriptions {
		s.names.FromNow = s.fromNow
		w.Subscriptions = append(w.Subscriptions, wiring.Subscription{
			Name: s.Name, Module: s.Module, Types: s.types(), Patterns: s.patterns, Emits: s.emits, External: s.External > 0,
			AnyOrder: s.anyOrder, Names: s.names, Site: s.wiredAt,
		})
	}
	for _, s := range b.schedules {
		w.Schedules = append(w.Schedules, wiring.Schedule{Name: s.name, Emits: s.emits, Site: s.wiredAt})
	}
	switch errs := slices.Concat(b.mistakes, w.Mistakes()); len(errs) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: one mistake:\n%w", ErrWiring, errs[0])
	default:
		return fmt.Errorf("%w: %d mistakes:\n%w", ErrWiring, len(errs), errors.Join(errs...))
	}
}

// joined returns the errors that err joins, or err alone.
func joined(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
