// Package jsontype checks whether encoding/json can encode the type of an event. The package imports the standard
// library only.
package jsontype

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// Check returns an error for a type that encoding/json cannot encode, or would encode without a field. The error names
// the field.
func Check(t reflect.Type) error {
	return (&walk{seen: map[reflect.Type]bool{}}).check(t, t.Name())
}

// walk visits the types of the fields of an event.
type walk struct{ seen map[reflect.Type]bool }

// check checks t, the type of the field at the path at.
func (w *walk) check(t reflect.Type, at string) error {
	if w.seen[t] || marshals(t) {
		return nil
	}
	w.seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Errorf("%s is a %v, which JSON cannot encode: remove the field from the event", at, t)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return w.check(t.Elem(), at)
	case reflect.Map:
		return w.checkMap(t, at)
	case reflect.Struct:
		return w.checkStruct(t, at)
	default:
		return nil
	}
}

func marshals(t reflect.Type) bool {
	for _, t := range []reflect.Type{t, reflect.PointerTo(t)} {
		if t.Implements(jsonMarshaler) || t.Implements(textMarshaler) {
			return true
		}
	}
	return false
}

func (w *walk) checkMap(t reflect.Type, at string) error {
	key := t.Key()
	if k := key.Kind(); k != reflect.String && (k < reflect.Int || k > reflect.Uintptr) && !key.Implements(textMarshaler) {
		return fmt.Errorf("%s is a map with keys of %v: JSON has strings and whole numbers only", at, key)
	}
	return w.check(t.Elem(), at)
}

func (w *walk) checkStruct(t reflect.Type, at string) error {
	for f := range t.Fields() {
		name := at + "." + f.Name
		switch embedded := f.Anonymous && indirect(f.Type).Kind() == reflect.Struct; {
		case f.Tag.Get("json") == "-" || f.Name == "_":
			continue
		case !f.IsExported() && !embedded:
			return fmt.Errorf("%s is unexported, so JSON would omit the field: export the field, or tag the field `json:\"-\"`", name)
		}
		if err := w.check(f.Type, name); err != nil {
			return err
		}
	}
	return nil
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}
