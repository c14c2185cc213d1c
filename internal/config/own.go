package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Words of a path, a flag, and what --help calls a value: each can be part of a variable's name or of a line of help.
var (
	legalPath  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*(\.[a-z][a-z0-9]*(-[a-z0-9]+)*)?$`)
	legalFlag  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	legalValue = regexp.MustCompile(`^[A-Z][A-Z0-9:-]*$`)
)

// reserved are the words that the command line and the file use themselves. No setting may have one as its path or flag.
var reserved = []string{"config", "deployable", deployablesKey, "adopt", "help", "json", "no-color", "version"}

// declare adds the settings that own's fields declare, and returns what is wrong with them.
func (p *Program) declare(own any) (wrong []error) {
	v := reflect.ValueOf(own)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return []error{fmt.Errorf("config: settings of its own are a %T: want a pointer to a struct, which is not nil", own)}
	}
	p.own = v
	of := "the settings"
	if t := v.Elem().Type(); t.Name() != "" {
		of = t.String()
	}
	owners := map[string]string{} // field by path
	for field := range fieldsOf(v.Elem().Type()) {
		settings, problems := settingsOf(field)
		for _, s := range settings {
			if problem := p.clash(&s, owners); problem != "" {
				problems = append(problems, problem)
				break // a secret's file would clash for the same reason
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

// fieldsOf yields the fields of a struct.
func fieldsOf(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// settingsOf returns the settings that a field declares: none where its path or type cannot be used, two for a secret, else one.
// It also returns what is wrong with the field.
func settingsOf(f reflect.StructField) ([]setting, []string) {
	problems := tagProblems(f.Tag)
	s := setting{path: f.Tag.Get("setting"), flag: f.Tag.Get("flag"), standard: f.Tag.Get("default"), help: f.Tag.Get("help"),
		secret: f.Type == reflect.TypeFor[Secret](), own: true}
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
		problems = append(problems, fmt.Sprintf("type %s: want string, bool, int, int64, uint64, float64, time.Duration, []string or Secret", f.Type))
	}
	if len(problems) > before {
		return nil, problems
	}
	called := f.Tag.Get("value")
	s.field = func(in *Settings) value {
		return ownValue(reflect.ValueOf(in.Own).Elem().FieldByIndex(f.Index).Addr().Interface(), called)
	}
	problems = append(problems, s.problems(f.Type, called)...)
	if s.secret {
		return []setting{s, secretFile(s.path)}, problems
	}
	return []setting{s}, problems
}

// problems returns what is wrong with a setting of type t, but for its path, that --help calls called.
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
		if err := ownValue(reflect.New(t).Interface(), "").set(s.standard); err != nil {
			bad("default %q: %v", s.standard, err)
		}
	}
	return found
}

// wantWords is what a path and a flag are made of.
const wantWords = "words of lower-case letters and digits with dashes between them"

// tagProblems returns what is wrong with a tag as a whole: reflect skips what it cannot read, and a key that is misspelt.
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
	return setting{path: secret + "-file", help: "a file that holds " + secret + " and nothing else", own: true,
		field: func(s *Settings) value { return path(s.file(secret)) }}
}

// clash says why s cannot be beside the settings that there are, "" if it can. owners has the fields of the program's own ones.
func (p *Program) clash(s *setting, owners map[string]string) string {
	if slices.Contains(reserved, s.path) || slices.Contains(reserved, s.short()) {
		return fmt.Sprintf("setting %s is called like a word of the command line or of the file: use another one", s.path)
	}
	for i := range p.table {
		t := &p.table[i]
		whose := "which every program has"
		if field, ok := owners[t.path]; ok {
			whose = "of field " + field
		}
		switch variables := p.variablesOf(t); {
		case s.path == t.path:
			return fmt.Sprintf("there is a setting %s already, %s", s.path, whose)
		case s.group() == t.path || s.path == t.group():
			return fmt.Sprintf("setting %s and setting %s, %s, cannot be in one file: one is below the other", s.path, t.path, whose)
		case s.group() != "" && s.group() == t.group() && !t.own:
			return fmt.Sprintf("setting %s is in group %s, %s: use a group of its own", s.path, s.group(), whose)
		case s.short() == t.short():
			return fmt.Sprintf("setting %s has the same flag as setting %s, %s: --%s", s.path, t.path, whose, s.short())
		case slices.ContainsFunc(p.variablesOf(s), func(v string) bool { return slices.Contains(variables, v) }):
			return fmt.Sprintf("setting %s has the same variable as setting %s, %s: %s", s.path, t.path, whose, p.variable(s.path))
		}
	}
	return ""
}

// supported reports whether a setting can have the type t.
func supported(t reflect.Type) bool { return ownValue(reflect.New(t).Interface(), "") != nil }

// ownValue returns the value at to, a pointer to a field, or nil for a type that no setting has. called is what --help calls it,
// "" for the usual.
func ownValue(to any, called string) value {
	switch to := to.(type) {
	case *string:
		return calls(words(to), called, "")
	case *Secret:
		return calls(words((*string)(to)), called, "")
	case *bool:
		return onOff(to)
	case *int:
		return calls(integer(to), called, "")
	case *int64:
		return calls(integer(to), called, "")
	case *uint64:
		return calls(natural(to), called, "")
	case *float64:
		return calls(number(to), called, "")
	case *time.Duration:
		return calls(span(to), called, "")
	case *[]string:
		return calls(texts(to), called, several)
	}
	return nil
}

// calls returns v with another word for it in --help, if there is one.
func calls(v value, called, suffix string) value {
	if called == "" {
		return v
	}
	return renamed{v, called + suffix}
}

// renamed is a value with another kind.
type renamed struct {
	value
	of string
}

func (r renamed) kind() string { return r.of }

// validator is a struct of settings that checks them.
type validator interface{ Validate() error }

// validate returns what the program finds wrong with its own settings. It does not ask when one of them could not be read.
func (l *Loaded) validate() (found Mistakes) {
	v, ok := l.Own.(validator)
	if !ok || slices.ContainsFunc(l.program.table, func(s setting) bool { return s.own && l.bad[s.path] }) {
		return nil
	}
	for _, err := range apartFrom(v.Validate()) {
		text := l.redacted(err.Error())
		found = append(found, Mistake{l.placeOf(text), text})
	}
	return found
}

// apartFrom returns the errors that errors.Join has put together in err.
func apartFrom(err error) []error {
	if err == nil {
		return nil
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(many.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var found []error
	for _, one := range many.Unwrap() {
		found = append(found, apartFrom(one)...)
	}
	return found
}

// placeOf returns where the setting was given that text begins with, "" where text begins otherwise.
func (l *Loaded) placeOf(text string) string {
	for i := range l.program.table {
		s := &l.program.table[i]
		rest, ok := strings.CutPrefix(text, s.path)
		if ok && (rest == "" || strings.ContainsAny(rest[:1], " :,")) {
			return l.from[s.path].at
		}
	}
	return ""
}

// redacted returns text without the program's own secrets.
func (l *Loaded) redacted(text string) string {
	for i := range l.program.table {
		s := &l.program.table[i]
		if !s.own || !s.secret {
			continue
		}
		if secret := s.field(&l.Settings).String(); secret != "" {
			quoted := strconv.Quote(secret)
			text = strings.NewReplacer(secret, hidden, quoted[1:len(quoted)-1], hidden).Replace(text)
		}
	}
	return text
}
