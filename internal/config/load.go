package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Input is where Load looks.
type Input struct {
	// Flags are those of the command line. Defaults to none.
	Flags *Flags
	// Environ is the environment, as os.Environ has it. A variable that is empty counts as not set. Defaults to none.
	Environ []string
	// Folder is where the program's DefaultFile may be. Defaults to the working folder.
	Folder string
	// Shared asks for what the deployables of a file share, for a process that is none of them: none needs to be chosen.
	Shared bool
}

// Loaded are settings that know where they come from.
type Loaded struct {
	Settings
	// File is the file that was read, "" where none was.
	File string
	// Deployable is the name of the one that was chosen in File, "" where it describes one only.
	Deployable string

	program  *Program
	from     map[string]given  // by path; what is not in it is the default
	bad      map[string]bool   // paths of settings that are wrong
	readFrom map[string]string // by path of a secret, the file that had it
}

// loaded returns settings that nothing has been read into.
func (p *Program) loaded() *Loaded { return &Loaded{Settings: *p.blank(), program: p} }

// Load reads the settings of one deployable. Those that only this program has are read into a new struct, Loaded.Own.
// Everything that is wrong is in one error, which is Mistakes; what could be read is returned with it.
func (p *Program) Load(in Input) (*Loaded, error) {
	l := p.loaded()
	f := l.open(in)
	mistakes := f.mistakes
	chosen, refused := l.choose(f, in)
	sources := []map[string]given{f.shared}
	for _, d := range f.deployables {
		if d.name == chosen {
			sources = append(sources, d.given)
			continue
		}
		_, wrong := d.load(f)
		mistakes = append(mistakes, wrong...)
	}
	env, wrong := p.fromEnviron(in.Environ)
	mistakes = slices.Concat(mistakes, refused, wrong, l.take(append(sources, env, in.Flags.all())...), l.readSecrets())
	if refused == nil { // otherwise nobody knows yet what is to hold
		mistakes = append(mistakes, l.hold(rules)...)
	}
	if refused == nil && !in.Shared { // a process that is no deployable has no use for own settings
		mistakes = append(mistakes, l.validate()...)
	}
	return l, mistakes.asError()
}

// open reads the file, if there is one.
func (l *Loaded) open(in Input) *file {
	path, at := l.program.chosenBy(in, "config")
	if path == "" {
		path = filepath.Join(in.Folder, l.program.DefaultFile())
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return &file{program: l.program}
		}
	}
	l.File = path
	f := l.program.readFile(path)
	if at != "" && f.unread { // say who asked for it
		f.mistakes[0].Where = at + ": " + path
	}
	return f
}

// choose returns the deployable of the file that is asked for.
func (l *Loaded) choose(f *file, in Input) (string, Mistakes) {
	name, at := l.program.chosenBy(in, "deployable")
	var there []string
	for _, d := range f.deployables {
		if d.name == name {
			l.Deployable = name
			return name, nil
		}
		there = append(there, d.name)
	}
	switch {
	case name == "" && (there == nil || in.Shared):
		return "", nil
	case name == "":
		return "", Mistakes{{f.path, fmt.Sprintf("describes several deployables: choose %s with --deployable or %s",
			strings.Join(there, ", "), l.program.variable("deployable"))}}
	case there == nil:
		return "", Mistakes{{at, fmt.Sprintf("there is no deployable %s to choose: it takes a file that has %s", quoted(name), deployablesKey)}}
	}
	return "", Mistakes{{at, fmt.Sprintf("there is no deployable %s in %s: %s", quoted(name), f.path, choices(name, there))}}
}

// chosenBy is what the command line, or else the environment, says of what is no setting itself.
func (p *Program) chosenBy(in Input, flag string) (text, at string) {
	if in.Flags != nil {
		if r := map[string]*raw{"config": &in.Flags.file, "deployable": &in.Flags.deployable}[flag]; r.given {
			return r.text, "--" + flag
		}
	}
	for _, pair := range in.Environ {
		if name, v, _ := strings.Cut(pair, "="); name == p.variable(flag) && v != "" {
			return v, name
		}
	}
	return "", ""
}

// all are the settings that the flags give.
func (f *Flags) all() map[string]given {
	found := map[string]given{}
	if f == nil {
		return found
	}
	for path, r := range f.given {
		if r.given {
			found[path] = given{text: r.text, at: "--" + r.flag, level: fromFlag}
		}
	}
	return found
}

// take sets everything, each source over those before it. What is wrong is wrong in whatever source, also where another one
// counts over it.
func (l *Loaded) take(sources ...map[string]given) (mistakes Mistakes) {
	l.from, l.bad = map[string]given{}, map[string]bool{}
	for i := range l.program.table {
		s := &l.program.table[i]
		v := s.field(&l.Settings)
		if s.standard != "" {
			if err := v.set(s.standard); err != nil {
				panic("config: default of " + s.path + ": " + err.Error())
			}
		}
		for _, source := range sources {
			g, ok := source[s.path]
			if !ok {
				continue
			}
			if !g.unread {
				err := v.set(g.text)
				if err == nil {
					l.from[s.path] = g
					continue
				}
				mistakes = append(mistakes, Mistake{g.at, s.complaint(g, err)})
			}
			l.bad[s.path] = true
		}
	}
	if l.Name == "" {
		l.Name = nameOf(l.Modules)
	}
	return mistakes
}

// complaint names the setting where the place does not, and shows what is wrong unless it may be a secret, or have one before
// an @, where it does not belong.
func (s *setting) complaint(g given, wanted error) string {
	var is []string
	if g.level == fromFile || g.level == fromDeployable {
		is = append(is, s.path)
	}
	if !s.secret && !strings.Contains(g.text, "@") {
		is = append(is, quoted(g.text))
	}
	return strings.TrimPrefix(strings.Join(is, " ")+": "+wanted.Error(), ": ")
}

// readSecrets reads those that are in files of their own. As with everything else, the stronger source holds.
func (l *Loaded) readSecrets() (mistakes Mistakes) {
	l.readFrom = map[string]string{}
	for i := range l.program.table {
		s := &l.program.table[i]
		if !s.secret {
			continue
		}
		holder, direct, in := l.from[s.path+"-file"], l.from[s.path], *l.file(s.path)
		if in == "" || l.bad[s.path+"-file"] || direct.level > holder.level {
			continue
		}
		if direct.level == holder.level {
			l.bad[s.path] = true
			mistakes = append(mistakes, Mistake{holder.at, fmt.Sprintf("%s-file is given, and %s at %s, too: remove one of them", s.path, s.path, direct.at)})
			continue
		}
		text, err := readSecret(in)
		if err == nil {
			err = s.field(&l.Settings).set(text)
		}
		if err != nil {
			l.bad[s.path] = true
			mistakes = append(mistakes, Mistake{holder.at, fmt.Sprintf("%s-file %s: %v", s.path, in, err)})
			continue
		}
		l.from[s.path] = given{at: in, level: holder.level}
		l.readFrom[s.path] = in
	}
	return mistakes
}

// Row is a setting as it holds.
type Row struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	Source  string `json:"source"` // file:line, the name of a variable, a flag, or "default"
	Secret  bool   `json:"secret,omitempty"`
}

// Rows are all settings, in the order of the table. A secret that is given shows as "(set)".
func (l *Loaded) Rows() []Row {
	var rows []Row
	for i := range l.program.table {
		s := &l.program.table[i]
		r := Row{Setting: s.path, Value: s.field(&l.Settings).String(), Source: "default", Secret: s.secret}
		if g, ok := l.from[s.path]; ok {
			r.Source = g.at
		}
		if s.secret && r.Value != "" {
			r.Value = hidden
		}
		rows = append(rows, r)
	}
	return rows
}
