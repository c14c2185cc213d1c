package bustest

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus"
)

// shape is the JSON of a Go type, by path: "address.city" is a field of a field, "lines[].sku" one of each element, and
// "stock{}" the value of each key.
type shape struct {
	fields map[string]string
	within []level
}

// level is a struct that is being described, for types that contain themselves.
type level struct {
	goType reflect.Type
	path   string
}

func shapeOf(t reflect.Type) map[string]string {
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

// add describes t, which is found at path.
func (s *shape) add(path string, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	at := path
	if at == "" {
		at = payload
	}
	own := ownEncoding(t)
	switch kind := t.Kind(); {
	case own != "":
		s.fields[at] = own
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

// object describes a struct by its fields.
func (s *shape) object(path string, t reflect.Type) {
	if i := slices.IndexFunc(s.within, func(l level) bool { return l.goType == t }); i >= 0 {
		above := s.within[i].path
		if above == "" {
			above = payload
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

// scalar is JSON's word for what is no container. JSON has one type for numbers; that a whole one becomes another matters.
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

// ownEncoding is what a type that encodes itself is in JSON, or "".
func ownEncoding(t reflect.Type) string {
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

// kindOf is JSON's word for a value.
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

// jsonField is a field as encoding/json has it.
type jsonField struct {
	name   string
	goType reflect.Type
	tagged bool
	quoted bool // a scalar, written as a string
}

// jsonFields are those of a struct and of what it embeds, of one name the least deep; of several that are equally deep the
// one whose name is written in a tag, if it is one: the rules of encoding/json.
func jsonFields(t reflect.Type) []jsonField {
	var out []jsonField
	taken, seen := map[string]bool{}, map[reflect.Type]bool{}
	for level := []reflect.Type{t}; len(level) > 0; {
		var found []jsonField
		var deeper []reflect.Type
		for _, t := range level {
			if !seen[t] {
				seen[t] = true
				fields, embedded := ownFields(t)
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

// ownFields are the fields of a struct, and the structs that it embeds.
func ownFields(t reflect.Type) (fields []jsonField, embedded []reflect.Type) {
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
			own := jsonField{name: name, goType: f.Type, tagged: name != ""}
			if name == "" {
				own.name = f.Name
			}
			kind := scalar(inner.Kind())
			own.quoted = slices.Contains(strings.Split(options, ","), "string") && kind != "any" && kind != scalar(reflect.Invalid)
			fields = append(fields, own)
		}
	}
	return fields, embedded
}

// keyed says whether events of a Go type have a key, by asking one that has something in every field: what a zero value
// says tells nothing.
func keyed(t reflect.Type) (has bool) {
	v := reflect.New(t)
	fill(v.Elem(), 0)
	defer func() {
		if recover() != nil {
			has = true // it looked for one
		}
	}()
	e, ok := v.Interface().(bus.Event)
	return ok && e.EventKey() != ""
}

// maxFilled is how deep values are filled in types that contain themselves.
const maxFilled = 6

// fill sets whatever can be set to something else than zero.
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
