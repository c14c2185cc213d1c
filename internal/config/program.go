package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Program is the program whose settings are read. It never changes, and may be used by several goroutines at once.
type Program struct {
	name    string
	modules []string
	table   []setting // those of every program, then those of this one
	groups  []string  // keys of a file with settings below them
	byPath  map[string]*setting
	own     reflect.Value // what NewProgram was given; the zero Value for a program without settings of its own
}

// legalProgram is a name that fits in the names of files, topics and variables.
var legalProgram = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// NewProgram returns the settings of the program called name: its variables begin with NAME_, its file is name.yaml, its journal
// is name.db, and its topics and its client of Kafka are called name unless the settings say otherwise. modules are the names of
// all its modules.
//
// own is a pointer to a struct of settings that only this program has, or nil. Every field declares one setting with its tag:
//
//	type settings struct {
//		URL     string        `setting:"insurer.url" default:"https://insurer.example" help:"address of the insurer"`
//		Timeout time.Duration `setting:"insurer.timeout" default:"5s" help:"time that the insurer may take for an answer"`
//		Key     config.Secret `setting:"insurer.key" help:"the insurer's key to its API"`
//	}
//
// setting is the place in the file: words of lower-case letters, digits and dashes, with at most one dot; the words before the
// dot are the group. help is one line for --help. Optional are default, flag (the name of the flag, instead of the path with
// dashes) and value (what --help calls the value). A field is a string, bool, int, int64, uint64, float64, time.Duration (0 or
// more), []string or Secret; without default it is zero. A Secret has no flag and no default: it is read from the file, from its
// variable, or from another file that the setting with -file at its end names.
//
// A method Validate() error of the struct checks settings that have been read. Each of its errors becomes a Mistake. One that
// begins with the path of a setting ("insurer.url wants https") shows where the setting was given. Use errors.Join for several.
//
// NewProgram reports everything that is wrong with its arguments in one error: all of it is a programmer's mistake.
func NewProgram(name string, modules []string, own any) (*Program, error) {
	p := &Program{name: name, modules: slices.Clone(modules), byPath: map[string]*setting{}}
	var wrong []error
	if !legalProgram.MatchString(name) {
		wrong = append(wrong, fmt.Errorf("config: program %q: want a name of up to 32 lower-case letters, digits and dashes that begins with a letter", name))
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

// DefaultFile returns the name of the file that is read from the working folder, if it is there, when no other file is named.
func (p *Program) DefaultFile() string { return p.name + ".yaml" }

// variable returns the name that something of the program has in the environment.
func (p *Program) variable(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(p.name + "_" + name))
}

// named returns the setting at path, or nil.
func (p *Program) named(path string) *setting { return p.byPath[path] }

// blank returns settings that nothing has been read into.
func (p *Program) blank() *Settings {
	s := &Settings{}
	if p.own.IsValid() {
		s.Own = reflect.New(p.own.Type().Elem()).Interface()
	}
	return s
}

// Apply copies the settings that only this program has to where NewProgram's own points. Call it before anything reads them.
func (l *Loaded) Apply() {
	if l.Own != nil {
		l.program.own.Elem().Set(reflect.ValueOf(l.Own).Elem())
	}
}
