package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Program describes the settings of a program. A Program does not change: several goroutines may use it.
type Program struct {
	name    string
	modules []string
	table   []setting // the settings of every program, then the program's own
	groups  []string  // keys of a file with settings below
	byPath  map[string]*setting
	own     reflect.Value // the argument of NewProgram; the zero Value without own settings
}

// wantName describes legal names of a program, in messages.
const wantName = "up to 32 lower-case letters, digits and dashes, the first one a letter"

// legalProgram matches names that can be parts of the names of files, topics and variables.
var legalProgram = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// NewProgram returns the settings of the program called name, with the given modules. Variables begin with NAME_, the
// file is name.yaml, and the defaults are the journal name.db, and name for the prefix of topics and for the client
// id of Kafka.
//
// own is a pointer to a struct with the program's own settings, or nil. Each field declares a setting with tags:
//
//	type settings struct {
//		URL     string        `setting:"insurer.url" default:"https://insurer.example" help:"address of the insurer"`
//		Timeout time.Duration `setting:"insurer.timeout" default:"5s" help:"time limit for an answer of the insurer"`
//		Key     config.Secret `setting:"insurer.key" help:"key to the insurer's API"`
//	}
//
// setting is the path in the file: lower-case letters, digits and dashes, with at most one dot, after a group. help
// is a line for --help. Optional tags are default, flag (the name of the flag; defaults to the path with dashes) and
// value (the word for the value in --help, such as URL). The type of a field is string, bool, int, int64, uint64,
// float64, time.Duration (0 or more), []string or Secret. The default is zero without the tag. A Secret has no flag
// and no default: the value is in the file, in a variable, or in a file named by the setting with the same path and
// -file at the end.
//
// If the struct has a method Validate() error, Load calls the method after all settings were read without a mistake.
// Each of the errors (errors.Join combines several) becomes a Mistake. An error that begins with the path of a
// setting, such as "insurer.url wants https", is reported with the source of the setting.
//
// The error of NewProgram has all mistakes in the arguments. They are mistakes of the programmer.
func NewProgram(name string, modules []string, own any) (*Program, error) {
	p := &Program{name: name, modules: append([]string{}, modules...), byPath: map[string]*setting{}}
	var wrong []error
	if !legalProgram.MatchString(name) {
		wrong = append(wrong, fmt.Errorf("config: program %q: want %s", name, wantName))
	}
	p.table = builtin(name)
	if own != nil {
		wrong = append(wrong, p.declare(own)...)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	blank := p.blank()
	for i := range p.table {
		s := &p.table[i]
		s.of = s.field(blank).Kind()
		s.names = p.variablesOf(s)
		p.byPath[s.path] = s
		if group := s.group(); group != "" && !slices.Contains(p.groups, group) {
			p.groups = append(p.groups, group)
		}
	}
	return p, nil
}

// DefaultFile returns the name of the file that Load reads by default, if the file exists.
func (p *Program) DefaultFile() string { return p.name + ".yaml" }

// variable returns the environment variable for a path or a flag.
func (p *Program) variable(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(p.name + "_" + name))
}

// named returns the setting at path, or nil.
func (p *Program) named(path string) *setting { return p.byPath[path] }

// blank returns settings without values.
func (p *Program) blank() *Settings {
	s := &Settings{}
	if p.own.IsValid() {
		s.Own = reflect.New(p.own.Type().Elem()).Interface()
	}
	return s
}

// Apply copies Own to the struct that was passed to NewProgram. Call Apply before the program reads the struct.
func (l *Loaded) Apply() {
	if l.Own != nil {
		l.program.own.Elem().Set(reflect.ValueOf(l.Own).Elem())
	}
}
