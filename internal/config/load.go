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

// Input has the sources of the settings.
type Input struct {
	// Flags are the flags of the command. Defaults to no flags.
	Flags *Flags
	// Environ is the environment, as os.Environ returns it. An empty variable counts as not set. Defaults to no
	// variables.
	Environ []string
	// Folder is the folder of the program's DefaultFile. Defaults to the working folder.
	Folder string
	// Shared is for a process that is no deployable: no deployable of the file needs to be chosen, and Load reads the
	// settings that all deployables share.
	Shared bool
	// Runs is for a Shared process that runs modules: their own settings must be valid.
	Runs bool
}

// Loaded are settings with their sources.
type Loaded struct {
	Settings
	// File is the path of the file that was read; "" for no file.
	File string
	// Deployable is the name of the chosen deployable in File; "" if File describes only one.
	Deployable string

	program  *Program
	from     map[string]given  // by path; a setting with its default is missing
	bad      map[string]bool   // by path: the setting has a mistake
	readFrom map[string]string // the file with a secret, by the path of the secret
}

// loaded returns settings without values.
func (p *Program) loaded() *Loaded { return &Loaded{Settings: *p.blank(), program: p} }

// Load reads the settings of a deployable. The program's own settings are read into a new struct, Loaded.Own. The
// error, if any, is Mistakes, with all mistakes in all sources. The settings without mistakes are returned even then.
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
	if refused == nil { // otherwise the deployable is not known yet
		mistakes = append(mistakes, l.hold(rules)...)
	}
	if refused == nil && (!in.Shared || in.Runs) { // a process without modules may do without own settings
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
	if at != "" && f.unread { // name the flag or the variable, too
		f.mistakes[0].Where = at + ": " + path
	}
	return f
}

// choose returns the key of the chosen deployable in the file, and "" if the file describes only one.
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
		return "", Mistakes{{f.path, fmt.Sprintf("describes deployables: choose %s with --deployable or %s",
			strings.Join(there, ", "), l.program.variable("deployable"))}}
	case there == nil:
		return "", Mistakes{{at, fmt.Sprintf("there is no deployable %s to choose: it takes a file that has %s", quoted(name), deployablesKey)}}
	}
	return "", Mistakes{{at, fmt.Sprintf("there is no deployable %s in %s: %s", quoted(name), f.path, choices(name, there))}}
}

// chosenBy returns the value of --config or --deployable, or of its variable, and the name of the source.
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

// all returns the settings that are given as flags.
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

// take sets all settings. Each source overrides the sources before. A mistake is reported even if another source
// overrides the value.
func (l *Loaded) take(sources ...map[string]given) (mistakes Mistakes) {
	l.from, l.bad = map[string]given{}, map[string]bool{}
	for i := range l.program.table {
		s := &l.program.table[i]
		v := s.field(&l.Settings)
		if s.standard != "" {
			if err := v.Set(s.standard); err != nil {
				panic("config: default of " + s.path + ": " + err.Error())
			}
		}
		for _, source := range sources {
			g, ok := source[s.path]
			if !ok {
				continue
			}
			if !g.unread {
				err := v.Set(g.text)
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

// complaint returns the text of a mistake. It names the setting if the place does not, and shows the value, unless the
// value may have a secret: a text with an @ may be a URL with a password.
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

// readSecrets reads secrets from the files that the settings name. If a secret is given directly, too, the source of
// the higher level is used.
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
			err = s.field(&l.Settings).Set(text)
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

// Row is the value of a setting, with its source.
type Row struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	Source  string `json:"source"` // file:line, the name of a variable, a flag, or "default"
	Secret  bool   `json:"secret,omitempty"`
}

// Rows returns all settings in the order of the table. The value of a secret is "(set)", or "" if the secret is not
// given.
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
