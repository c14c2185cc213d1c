package bus

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// mistake notes something that is wrong with the wiring, and the line of the program that wired it; Check reports both.
func (b *Bus) mistake(format string, args ...any) {
	b.mistakes = append(b.mistakes, at(wiringSite(), fmt.Errorf(format, args...)))
}

// wiring panics when Run has begun: what is wired later would never run, and nobody would say so.
func (b *Bus) wiring(what, name string) {
	if b.state.Load() != wired {
		panic(fmt.Sprintf("bus: %s %q is wired after Run was called, and would never run: wire everything before", what, name))
	}
}

// at puts the line of the program that err is about before err.
func at(site string, err error) error {
	if site == "" {
		return err
	}
	return fmt.Errorf("%s: %w", site, err)
}

// wiringSite returns the file, with its folder, and the line outside of this package that is wiring: "handlers/order.go:12".
func wiringSite() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, packagePath+".") {
			dir, file := path.Split(filepath.ToSlash(f.File))
			return fmt.Sprintf("%s:%d", path.Join(path.Base(dir), file), f.Line)
		}
		if !more {
			return ""
		}
	}
}

var packagePath = reflect.TypeFor[Bus]().PkgPath()

// register notes the type of e, and returns its name, or "" when it is unusable.
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
		if err := checkPayload(t); err != nil {
			b.mistake("event type %q: %w", name, err)
		}
	}
	return name
}

// declare notes that module emits e.
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

// Check reports all mistakes in the wiring in one ErrWiring: a name that is used twice, an event type claimed by two Go
// types or emitted by two modules, an event that is consumed but emitted by nobody, one that is emitted but neither
// consumed nor marked with ForOutside, an event that encoding/json cannot carry, a migration that would not be found. Each
// names the line that wired it where there is one. Run calls it first; a test may call it without a run.
func (b *Bus) Check() error {
	errs := slices.Clone(b.mistakes)
	names, consumed := map[string]bool{}, map[string]bool{}
	for _, s := range b.subscriptions {
		if names[s.name] {
			errs = append(errs, at(s.wiredAt, fmt.Errorf("subscription %q is used twice", s.name)))
		}
		names[s.name], consumed[s.eventType] = true, true
		if s.eventType != "" && b.types[s.eventType].emitter == "" {
			errs = append(errs, at(s.wiredAt, fmt.Errorf("subscription %q consumes %q, which nobody declares to emit", s.name, s.eventType)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.types)) {
		t := b.types[name]
		outside := t.emitter != "" && b.modules[t.emitter] != nil && b.modules[t.emitter].outside[name]
		if t.emitter != "" && !consumed[name] && !outside {
			errs = append(errs, at(t.wiredAt, fmt.Errorf("event type %q, emitted by module %s, is consumed by nobody: mark it with ForOutside if that is meant", name, t.emitter)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.modules)) {
		errs = append(errs, b.modules[name].check()...)
	}
	errs = append(errs, b.checkModules()...)
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: one mistake:\n%w", ErrWiring, errs[0])
	default:
		return fmt.Errorf("%w: %d mistakes:\n%w", ErrWiring, len(errs), errors.Join(errs...))
	}
}
