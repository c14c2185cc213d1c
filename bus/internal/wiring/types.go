// Package wiring keeps the declarations of a program, and finds the mistakes in them.
package wiring

import (
	"cmp"
	"fmt"
	"reflect"
)

// Event is an event of the bus.
type Event interface {
	// EventType returns the name of the type.
	EventType() string
}

// Types are the event types of a program, by name.
type Types map[string]Type

// Type is an event type.
type Type struct {
	Go      reflect.Type
	Emitter string // the module that emits the type
	Site    string // file and line of the first declaration
}

// GoType returns the struct type of e, also when e is a pointer.
func GoType(e Event) reflect.Type {
	t := reflect.TypeOf(e)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// NameOf returns the declared name of the Go type of e, or "" for an undeclared type.
func (types Types) NameOf(e Event) string {
	t := GoType(e)
	for name, known := range types {
		if known.Go == t {
			return name
		}
	}
	return ""
}

// Register adds the type of e, which is declared at site. Register returns the type's name, or "" for an unusable type.
// usable returns the mistake in a new type.
func (types Types) Register(e Event, site string, usable func(reflect.Type) error) (name string, mistakes []error) {
	t := GoType(e)
	if t == nil {
		return "", []error{fmt.Errorf("a nil event is declared: pass a value of the event's type")}
	}
	if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && v.IsNil() {
		return "", []error{fmt.Errorf("a nil *%v is declared: declare %v{}", t, t)}
	}
	if name = e.EventType(); name == "" {
		return "", []error{fmt.Errorf("%v has an empty EventType: return a name, such as order.placed", t)}
	}
	known, ok := types[name]
	if ok && known.Go != t {
		mistakes = append(mistakes, fmt.Errorf("event type %q is claimed by %v and by %v: one name, one type", name, known.Go, t))
	}
	if !ok {
		types[name] = Type{Go: t, Site: site}
		if err := usable(t); err != nil {
			mistakes = append(mistakes, fmt.Errorf("event type %q: %w", name, err))
		}
	}
	return name, mistakes
}

// Declare registers e as an event of module.
func (types Types) Declare(
	e Event, module, site string, usable func(reflect.Type) error,
) (name string, mistakes []error) {
	name, mistakes = types.Register(e, site, usable)
	if name == "" {
		return "", mistakes
	}
	t := types[name]
	if t.Emitter != "" && t.Emitter != module {
		mistakes = append(mistakes, fmt.Errorf("event type %q is emitted by module %s and by module %s: a fact has one source",
			name, t.Emitter, module))
	}
	t.Emitter = cmp.Or(t.Emitter, module)
	types[name] = t
	return name, mistakes
}
