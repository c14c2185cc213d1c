package bus

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
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
	if err := checkMigrations(m.migrations); err != nil {
		errs = append(errs, at(m.wiredAt, fmt.Errorf("migrations of module %s: %w", m.name, err)))
	}
	return errs
}

// checkMigrations returns an error when fsys has no migration, or a migration in the wrong folder.
func checkMigrations(fsys fs.FS) error {
	byDepth := map[int][]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".sql" {
			depth := strings.Count(name, "/")
			byDepth[depth] = append(byDepth[depth], name)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case len(byDepth) == 0:
		return errors.New("no .sql file at the top of the file system, or one folder below")
	}
	taken := 0 // the depth of the folder that is applied: the top, if the top has a file
	if len(byDepth[0]) == 0 {
		taken = 1
	}
	for _, depth := range slices.Sorted(maps.Keys(byDepth)) {
		if depth != taken {
			return fmt.Errorf("%s would not be applied: put all .sql files at the top of the file system, or all one folder below",
				byDepth[depth][0])
		}
	}
	return nil
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// checkPayload returns an error for a type that encoding/json cannot encode, or would encode without a field.
func checkPayload(t reflect.Type) error {
	return (&payload{seen: map[reflect.Type]bool{}}).check(t, t.Name())
}

// payload walks the types of the fields of an event.
type payload struct{ seen map[reflect.Type]bool }

// check checks t, the type of the field at the path at.
func (p *payload) check(t reflect.Type, at string) error {
	if p.seen[t] || marshals(t) {
		return nil
	}
	p.seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Errorf("%s is a %v, which JSON cannot encode: remove the field from the event", at, t)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return p.check(t.Elem(), at)
	case reflect.Map:
		return p.checkMap(t, at)
	case reflect.Struct:
		return p.checkStruct(t, at)
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

func (p *payload) checkMap(t reflect.Type, at string) error {
	key := t.Key()
	if k := key.Kind(); k != reflect.String && (k < reflect.Int || k > reflect.Uintptr) && !key.Implements(textMarshaler) {
		return fmt.Errorf("%s is a map with keys of %v: JSON has strings and whole numbers only", at, key)
	}
	return p.check(t.Elem(), at)
}

func (p *payload) checkStruct(t reflect.Type, at string) error {
	for f := range t.Fields() {
		name := at + "." + f.Name
		switch embedded := f.Anonymous && indirect(f.Type).Kind() == reflect.Struct; {
		case f.Tag.Get("json") == "-" || f.Name == "_":
			continue
		case !f.IsExported() && !embedded:
			return fmt.Errorf("%s is unexported, so JSON would omit the field: export the field, or tag the field `json:\"-\"`", name)
		}
		if err := p.check(f.Type, name); err != nil {
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
