// Package shape describes the JSON of Go types, for contracts of events.
package shape

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Payload is the path of the whole payload, if the payload is no JSON object.
const Payload = "the payload"

// shape is the JSON of a Go type, by path: "address.city" is a field of a field, "lines[].sku" a field of each element,
// and "stock{}" the value of each key.
type shape struct {
	fields map[string]string
	within []level
}

// level is an enclosing struct, for types that contain themselves.
type level struct {
	goType reflect.Type
	path   string
}

// Of returns the JSON of t by path. The path of a value without fields is Payload.
func Of(t reflect.Type) map[string]string {
	s := shape{fields: map[string]string{}}
	s.add("", t)
	return s.fields
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	rawType       = reflect.TypeFor[json.RawMessage]()
	numberType    = reflect.TypeFor[json.Number]()
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// add describes the type t of the value at path.
func (s *shape) add(path string, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	at := path
	if at == "" {
		at = Payload
	}
	custom := customEncoding(t)
	switch kind := t.Kind(); {
	case custom != "":
		s.fields[at] = custom
	case kind == reflect.Struct:
		s.object(path, t)
	case kind == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		s.fields[at] = "base64"
	case kind == reflect.Slice || kind == reflect.Array:
		s.fields[at] = "array"
		s.add(path+"[]", t.Elem())
	case kind == reflect.Map:
		s.fields[at] = "map"
		s.add(path+"{}", t.Elem())
	default:
		s.fields[at] = scalar(kind)
	}
}

// object describes the fields of a struct.
func (s *shape) object(path string, t reflect.Type) {
	if i := slices.IndexFunc(s.within, func(l level) bool { return l.goType == t }); i >= 0 {
		above := s.within[i].path
		if above == "" {
			above = Payload
		}
		s.fields[path] = "object, the same as " + above
		return
	}
	if path != "" {
		s.fields[path] = "object"
	}
	s.within = append(s.within, level{t, path})
	for _, f := range jsonFields(t) {
		at := f.name
		if path != "" {
			at = path + "." + f.name
		}
		if f.quoted {
			s.fields[at] = "string"
		} else {
			s.add(at, f.goType)
		}
	}
	s.within = s.within[:len(s.within)-1]
}

// scalar returns the JSON type of a Go kind other than a container. JSON has a single number type, but a change between
// integers and other numbers matters to readers.
func scalar(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Interface:
		return "any"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return "integer"
	default:
		return "nothing that JSON has"
	}
}

// customEncoding returns the JSON kind of a type with its own encoding, or "".
func customEncoding(t reflect.Type) string {
	p := reflect.PointerTo(t)
	switch {
	case t == timeType:
		return "time"
	case t == rawType:
		return "any"
	case t == numberType:
		return "number"
	case t.Kind() == reflect.Interface:
		return ""
	case p.Implements(marshaler):
		data, err := json.Marshal(reflect.New(t).Interface())
		if err != nil {
			return "its own encoding"
		}
		return kindOf(data) + ", its own encoding"
	case p.Implements(textMarshaler):
		return "string"
	default:
		return ""
	}
}

// kindOf returns the JSON type of a value.
func kindOf(data json.RawMessage) string {
	switch data[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

// jsonField is a field as encoding/json sees the struct.
type jsonField struct {
	name   string
	goType reflect.Type
	tagged bool
	quoted bool // a scalar, written as a string
}

// jsonFields returns the fields of a struct and of its embedded structs, by the rules of encoding/json. The least
// nested field of a name wins; among equally nested fields, the only field with the name in a tag.
func jsonFields(t reflect.Type) []jsonField {
	var out []jsonField
	taken, seen := map[string]bool{}, map[reflect.Type]bool{}
	for level := []reflect.Type{t}; len(level) > 0; {
		var found []jsonField
		var deeper []reflect.Type
		for _, t := range level {
			if !seen[t] {
				seen[t] = true
				fields, embedded := directFields(t)
				found, deeper = append(found, fields...), append(deeper, embedded...)
			}
		}
		byName := map[string][]jsonField{}
		for _, f := range found {
			byName[f.name] = append(byName[f.name], f)
		}
		for name, same := range byName {
			if taken[name] {
				continue
			}
			taken[name] = true
			if len(same) > 1 {
				same = slices.DeleteFunc(same, func(f jsonField) bool { return !f.tagged })
			}
			if len(same) == 1 {
				out = append(out, same[0])
			}
		}
		level = deeper
	}
	return out
}

// directFields returns a struct's own fields, and its embedded structs.
func directFields(t reflect.Type) (fields []jsonField, embedded []reflect.Type) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Tag.Get("json") == "-" {
			continue
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case f.IsExported():
			field := jsonField{name: name, goType: f.Type, tagged: name != ""}
			if name == "" {
				field.name = f.Name
			}
			kind := scalar(inner.Kind())
			field.quoted = slices.Contains(strings.Split(options, ","), "string") &&
				kind != "any" && kind != scalar(reflect.Invalid)
			fields = append(fields, field)
		}
	}
	return fields, embedded
}

// Keyed reports whether events of a Go type have a key. The question goes to an event with a value in every field: the
// zero value may have an empty key.
func Keyed(t reflect.Type) (has bool) {
	v := reflect.New(t)
	fill(v.Elem(), 0)
	defer func() {
		if recover() != nil {
			has = true // the method read fields, so there is a key
		}
	}()
	e, ok := v.Interface().(interface{ EventKey() string })
	return ok && e.EventKey() != ""
}

// maxFilled is the depth to which fill goes in types that contain themselves.
const maxFilled = 6

// fill gives every settable field a value other than zero.
func fill(v reflect.Value, depth int) {
	if !v.CanSet() || depth > maxFilled {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("1")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, depth+1)
		}
	}
}
