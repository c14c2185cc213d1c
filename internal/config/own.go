package config

import (
	"fmt"
	"github.com/troupebus/troupe/internal/config/parse"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Patterns of the tags. A path and a flag become parts of a variable's name, a value becomes part of a line of help.
var (
	legalPath  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*(\.[a-z][a-z0-9]*(-[a-z0-9]+)*)?$`)
	legalFlag  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	legalValue = regexp.MustCompile(`^[A-Z][A-Z0-9:-]*$`)
)

// reserved are words of the command line and of the file. A setting must not have one as path, group or flag.
var reserved = []string{"config", "deployable", deployablesKey, "adopt", "help", "json", "no-color", "version"}

// declare adds the settings of the fields of own, and returns the mistakes in the declarations.
func (p *Program) declare(own any) (wrong []error) {
	p.own = reflect.ValueOf(own)
	if p.own.Kind() != reflect.Pointer || p.own.IsNil() || p.own.Elem().Kind() != reflect.Struct {
		return []error{fmt.Errorf("config: own settings are a %T: want a pointer to a struct, and not nil", own)}
	}
	t, of := p.own.Elem().Type(), "the settings"
	if t.Name() != "" {
		of = t.String()
	}
	owners := map[string]string{} // field by path
	for i := range t.NumField() {
		field := t.Field(i)
		settings, problems := settingsOf(field)
		for _, s := range settings {
			if problem := p.clash(&s, owners); problem != "" {
				problems = append(problems, problem)
				break // the file of a secret would clash for the same reason
			}
			owners[s.path] = field.Name
			p.table = append(p.table, s)
		}
		for _, problem := range problems {
			wrong = append(wrong, fmt.Errorf("config: field %s of %s: %s", field.Name, of, problem))
		}
	}
	return wrong
}

// settingsOf returns the settings of a field, and the mistakes in the field. A secret has two settings: the second
// names a file with the secret. A field with an unusable path or type has no settings.
func settingsOf(f reflect.StructField) ([]setting, []string) {
	problems := tagProblems(f.Tag)
	s := setting{
		path: f.Tag.Get("setting"), flag: f.Tag.Get("flag"), standard: f.Tag.Get("default"), help: f.Tag.Get("help"),
		secret: f.Type == reflect.TypeFor[Secret](), own: true,
	}
	before := len(problems)
	switch {
	case !f.IsExported():
		problems = append(problems, "it is not exported, so nothing can be read into it")
	case s.path == "":
		problems = append(problems, `it has no path: want setting:"its.path" and help:"…"`)
	case !legalPath.MatchString(s.path):
		problems = append(problems, fmt.Sprintf("setting %q: want %s, and at most one dot", s.path, wantWords))
	}
	if !supported(f.Type) {
		problems = append(problems, fmt.Sprintf("type %s: want %s", f.Type, wantTypes))
	}
	if len(problems) > before {
		return nil, problems
	}
	called := f.Tag.Get("value")
	s.field = func(in *Settings) parse.Value {
		return ownValue(reflect.ValueOf(in.Own).Elem().FieldByIndex(f.Index).Addr().Interface(), called)
	}
	problems = append(problems, s.problems(f.Type, called)...)
	if s.secret {
		return []setting{s, secretFile(s.path)}, problems
	}
	return []setting{s}, problems
}

// problems returns the mistakes in the tags of a setting of type t, except for the path. called is the tag value.
func (s *setting) problems(t reflect.Type, called string) (found []string) {
	bad := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if s.help == "" || strings.ContainsFunc(s.help, unicode.IsControl) {
		bad(`setting %s has no help: want help:"…", on one line`, s.path)
	}
	if s.flag != "" && !legalFlag.MatchString(s.flag) {
		bad("flag %q: want %s", s.flag, wantWords)
	}
	if called != "" && (!legalValue.MatchString(called) || t.Kind() == reflect.Bool) {
		bad("value %q: want capital letters, for a setting that is not a bool", called)
	}
	switch {
	case s.secret && (s.flag != "" || s.standard != ""):
		bad("setting %s is a secret, which has no flag and no default", s.path)
	case s.standard != "":
		if err := ownValue(reflect.New(t).Interface(), "").Set(s.standard); err != nil {
			bad("default %q: %v", s.standard, err)
		}
	}
	return found
}

// Allowed words and types, in messages.
const (
	wantWords = "words of lower-case letters and digits with dashes between them"
	wantTypes = "string, bool, int, int64, uint64, float64, time.Duration, []string or Secret"
)

// tagProblems returns the mistakes in the form of a tag: reflect ignores misspelt keys, and text that is no pair of key
// and value.
func tagProblems(tag reflect.StructTag) (found []string) {
	known := []string{"setting", "default", "help", "flag", "value"}
	for rest := strings.TrimLeft(string(tag), " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		key, after, _ := strings.Cut(rest, ":")
		text, err := strconv.QuotedPrefix(after)
		if err != nil || key == "" || strings.ContainsAny(key, ` "`) {
			return append(found, fmt.Sprintf("tag %s: want key:\"value\" from here on, with spaces between several", rest))
		}
		if n := nearest(key, known); n != "" && n != key {
			found = append(found, fmt.Sprintf("tag %s: did you mean %s?", key, n))
		}
		rest = after[len(text):]
	}
	return found
}

// secretFile returns the setting that names the file of the secret at secret.
func secretFile(secret string) setting {
	return setting{path: secret + "-file", help: "file with " + secret + " and nothing else", own: true,
		field: func(s *Settings) parse.Value { return parse.Path(s.file(secret)) }}
}

// clash returns the reason why s cannot be added to the table, or "". owners has the field of each own setting, by
// path.
func (p *Program) clash(s *setting, owners map[string]string) string {
	for _, word := range []string{s.path, s.group(), s.short()} {
		if slices.Contains(reserved, word) {
			return fmt.Sprintf("setting %s: %s is a word of the command line or of the file: use another one", s.path, word)
		}
	}
	for i := range p.table {
		t := &p.table[i]
		other := t.path + ", which every program has"
		if field, ok := owners[t.path]; ok {
			other = t.path + ", of field " + field
		}
		variables := p.variablesOf(t)
		switch {
		case s.path == t.path:
			return "there is already a setting " + other
		case s.group() == t.path || s.path == t.group():
			return fmt.Sprintf("setting %s cannot be in one file with %s: one is below the other", s.path, other)
		case s.group() != "" && s.group() == t.group() && !t.own:
			return fmt.Sprintf("setting %s is in the group of %s: use another group", s.path, other)
		case s.short() == t.short():
			return fmt.Sprintf("setting %s has the flag --%s of %s", s.path, s.short(), other)
		case slices.ContainsFunc(p.variablesOf(s), func(v string) bool { return slices.Contains(variables, v) }):
			return fmt.Sprintf("setting %s has the variable %s of %s", s.path, p.variable(s.path), other)
		}
	}
	return ""
}

// supported reports whether t is a type for settings.
func supported(t reflect.Type) bool { return ownValue(reflect.New(t).Interface(), "") != nil }

// ownValue returns the value at to, a pointer to a field, or nil for a type that is not supported. called is the word
// for the value in --help; "" for the word of the type.
func ownValue(to any, called string) parse.Value {
	switch to := to.(type) {
	case *string:
		return calls(parse.Words(to), called, "")
	case *Secret:
		return calls(parse.Words((*string)(to)), called, "")
	case *bool:
		return parse.OnOff(to)
	case *int:
		return calls(parse.Integer(to), called, "")
	case *int64:
		return calls(parse.Integer(to), called, "")
	case *uint64:
		return calls(parse.Natural(to), called, "")
	case *float64:
		return calls(parse.Number(to), called, "")
	case *time.Duration:
		return calls(parse.Span(to), called, "")
	case *[]string:
		return calls(parse.Texts(to), called, parse.Several)
	}
	return nil
}

// calls returns v with the word called for --help, or v itself if called is "".
func calls(v parse.Value, called, suffix string) parse.Value {
	if called == "" {
		return v
	}
	return renamed{v, called + suffix}
}

// renamed is a value with another kind.
type renamed struct {
	parse.Value
	of string
}

// Kind implements parse.Value.
func (r renamed) Kind() string { return r.of }
