package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Program is a program whose settings are read. It never changes, and may be used by several goroutines at once.
type Program struct {
	name    string
	modules []string
	table   []setting // those of every program, then those of this one
	groups  []string  // keys of a file with settings below them
	byPath  map[string]*setting
	own     reflect.Value // as NewProgram was given it; the zero Value without
}

// wantName is what the name of a program must be, in messages.
const wantName = "up to 32 lower-case letters, digits and dashes, the first one a letter"

// legalProgram matches names that fit in those of files, topics and variables.
var legalProgram = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// NewProgram returns the settings of the program called name. Its variables begin with NAME_, its file is
// name.yaml, and name is the default of its journal (name.db), of the prefix of its topics and of its client id for
// Kafka. modules are the names of all its modules.
//
// own is a pointer to a struct of settings that only this program has, or nil. Each field declares one setting with
// tags:
//
//	type settings struct {
//		URL     string        `setting:"insurer.url" default:"https://insurer.example" help:"address of the insurer"`
//		Timeout time.Duration `setting:"insurer.timeout" default:"5s" help:"time limit for an answer of the insurer"`
//		Key     config.Secret `setting:"insurer.key" help:"key to the insurer's API"`
//	}
//
// setting is the path in the file: lower-case letters, digits and dashes, with at most one dot, after a group. help
// is one line for --help. Optional tags are default, flag (the name of the flag; defaults to the path with dashes)
// and value (the word for the value in --help, such as URL). A field is a string, bool, int, int64, uint64,
// float64, time.Duration (0 or more), []string or Secret. Without a default it is zero. A Secret has no flag and no
// default: the file or a variable has it, or a file of its own that the setting with -file at the end of the path
// names.
//
// If the struct has a method Validate() error, Load calls it on settings that could all be read. Each of its errors
// (errors.Join puts several together) becomes a Mistake. An error that begins with the path of a setting, such as
// "insurer.url wants https", is shown with the place where that setting was given.
//
// The error of NewProgram has everything that is wrong with its arguments. All of it is a programmer's mistake.
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
		s.of = s.field(blank).kind()
		s.names = p.variablesOf(s)
		p.byPath[s.path] = s
		if group := s.group(); group != "" && !slices.Contains(p.groups, group) {
			p.groups = append(p.groups, group)
		}
	}
	return p, nil
}

// DefaultFile returns the name of the file that Load reads, if it exists, when no other file is named.
func (p *Program) DefaultFile() string { return p.name + ".yaml" }

// variable returns the environment variable for name, which may be a path or a flag.
func (p *Program) variable(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(p.name + "_" + name))
}

// named returns the setting at path, or nil.
func (p *Program) named(path string) *setting { return p.byPath[path] }

// blank returns settings into which nothing has been read.
func (p *Program) blank() *Settings {
	s := &Settings{}
	if p.own.IsValid() {
		s.Own = reflect.New(p.own.Type().Elem()).Interface()
	}
	return s
}

// Apply copies Own to the struct that NewProgram was given. Call it before anything else reads that struct.
func (l *Loaded) Apply() {
	if l.Own != nil {
		l.program.own.Elem().Set(reflect.ValueOf(l.Own).Elem())
	}
}
