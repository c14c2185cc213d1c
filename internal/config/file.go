package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// deployablesKey is where a file has its deployables, when it describes more than one.
const deployablesKey = "deployables"

// given is what one source says of one setting.
type given struct {
	text   string
	at     string // as Mistake.Where
	level  level
	unread bool // it is of no shape that has a text, which is a mistake already
}

// level is how much a source counts.
type level int

const (
	fromDefault level = iota
	fromFile
	fromDeployable
	fromEnv
	fromFlag
)

// file is what is in a file of settings.
type file struct {
	program     *Program
	path        string
	shared      map[string]given // by path
	deployables []described      // empty where the file describes one, which is all of it
	mistakes    Mistakes
	unread      bool // nothing is known of it
}

// described is a deployable of a file.
type described struct {
	name, at string
	given    map[string]given
}

// readFile reads as much of the file as it can.
func (p *Program) readFile(path string) *file {
	data, err := readAtMost(path, maxFile)
	if err == nil {
		return p.parseFile(path, data)
	}
	f := &file{program: p, path: path, shared: map[string]given{}}
	if errors.Is(err, fs.ErrNotExist) {
		return f.unreadable("there is no such file")
	}
	return f.unreadable(err.Error())
}

// parseFile reads as much of data, which is in the file at path, as it can.
func (p *Program) parseFile(path string, data []byte) *file {
	f := &file{program: p, path: path, shared: map[string]given{}}
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return f // empty
	} else if err != nil {
		return f.unreadable(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		f.wrong(path, "holds more than one YAML document: put what belongs to several deployables below %s", deployablesKey)
	}
	f.walk(doc.Content[0], place{level: fromFile, into: f.shared})
	return f
}

func (f *file) unreadable(why string) *file {
	f.unread = true
	f.wrong(f.path, "%s", why)
	return f
}

func (f *file) wrong(at, format string, args ...any) {
	if f.crowded() {
		return
	}
	f.mistakes = append(f.mistakes, Mistake{at, fmt.Sprintf(format, inMessage(args)...)})
	if f.crowded() {
		f.mistakes = append(f.mistakes, Mistake{f.path, fmt.Sprintf("has more than %d mistakes: the others are not listed", maxMistakes)})
	}
}

// crowded reports whether so much is wrong that nothing more is listed.
func (f *file) crowded() bool { return len(f.mistakes) >= maxMistakes }

func (f *file) line(n *yaml.Node) string { return fmt.Sprintf("%s:%d", f.path, n.Line) }

// place is where in a file settings are.
type place struct {
	group string // with a dot at its end, or ""
	level level
	into  map[string]given
}

// walk takes in the settings of a mapping.
func (f *file) walk(n *yaml.Node, p place) {
	f.each(n, strings.TrimSuffix(p.group, "."), func(key, v *yaml.Node) {
		path := p.group + key.Value
		switch s := f.program.named(path); {
		case s != nil:
			if before, twice := p.into[path]; twice { // under its group, and by its whole path
				f.wrong(f.line(key), "%s is there already, at %s: remove one of them", path, before.at)
				return
			}
			text, ok := f.text(s, key, v)
			p.into[path] = given{text, f.line(key), p.level, !ok}
		case slices.Contains(f.program.groups, path):
			f.walk(v, place{path + ".", p.level, p.into})
		case path == deployablesKey && p.level == fromFile:
			f.describe(v)
		case !f.crowded():
			f.wrong(f.line(key), "unknown key %s: %s", path, f.hint(key.Value, p))
		}
	})
}

// each calls fn with what is in the mapping called name. A key that is there twice counts once.
func (f *file) each(n *yaml.Node, name string, fn func(key, v *yaml.Node)) {
	n = resolved(n)
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.wrong(f.line(n), "%s is a plain value or a list: want names here, with what belongs to each behind or below it", cmp.Or(name, "the file"))
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if first := lines[key.Value]; first > 0 {
			f.wrong(f.line(key), "%s is there already, in line %d: remove one of them", key.Value, first)
			continue
		}
		lines[key.Value] = key.Line
		fn(key, resolved(n.Content[i+1]))
	}
}

// describe takes in deployables.
func (f *file) describe(n *yaml.Node) {
	many := false
	f.each(n, deployablesKey, func(key, v *yaml.Node) {
		if len(f.deployables) == maxDeployables {
			if !many {
				f.wrong(f.line(key), "%s has more than %d: those from here on are not looked at", deployablesKey, maxDeployables)
			}
			many = true
			return
		}
		d := described{name: key.Value, at: f.line(key), given: map[string]given{}}
		f.walk(v, place{level: fromDeployable, into: d.given})
		if _, ok := d.given["name"]; !ok {
			d.given["name"] = given{text: d.name, at: d.at, level: fromDeployable}
		}
		f.deployables = append(f.deployables, d)
	})
	if len(f.deployables) == 0 {
		f.wrong(f.line(n), "%s has none: want the name of each, with its settings below it", deployablesKey)
	}
	if shared, ok := f.shared["name"]; ok {
		f.wrong(shared.at, "name cannot be shared: each of %s is called by its key", deployablesKey)
	}
}

// text is what the node n says of s, in the form that flags have, too.
func (f *file) text(s *setting, key, n *yaml.Node) (text string, ok bool) {
	switch {
	case n.Tag == "!!null":
		f.wrong(f.line(key), "%s has no value: give it one, or remove the line", s.path)
	case n.Kind == yaml.ScalarNode:
		return n.Value, true
	case n.Kind == yaml.SequenceNode && strings.HasSuffix(s.of, several) && s.of != kindPairs && !slices.ContainsFunc(n.Content, nested):
		var items []string
		for _, item := range n.Content {
			items = append(items, resolved(item).Value)
		}
		if s.own && slices.ContainsFunc(items, func(item string) bool { return strings.Contains(item, ",") }) {
			f.wrong(f.line(key), "%s has an item with a comma, which would be two items: leave the comma out", s.path)
			return "", false
		}
		return strings.Join(items, ","), true
	case n.Kind == yaml.MappingNode && s.of == kindPairs && !slices.ContainsFunc(n.Content, nested):
		var pairs []string
		f.each(n, s.path, func(key, v *yaml.Node) { pairs = append(pairs, key.Value+"="+v.Value) })
		return strings.Join(pairs, ","), true
	default:
		f.wrong(f.line(key), "%s has the wrong shape: want %s", s.path, s.of)
	}
	return "", false
}

// nested reports whether n is more than a plain value.
func nested(n *yaml.Node) bool { return resolved(n).Kind != yaml.ScalarNode }

// hint is what may have been meant by an unknown key.
func (f *file) hint(key string, p place) string {
	var here []string
	for i := range f.program.table {
		s := &f.program.table[i]
		if rest, ok := strings.CutPrefix(s.path, p.group); ok {
			first, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(here, first) {
				here = append(here, first)
			}
		}
		if last := s.path[strings.LastIndex(s.path, ".")+1:]; plain(key) == last || plain(key) == s.short() {
			return "did you mean " + s.path + "?"
		}
	}
	if p.level == fromFile && p.group == "" {
		here = append(here, deployablesKey)
	}
	if n := nearest(key, here); n != "" {
		return "did you mean " + p.group + n + "?"
	}
	return "known here are " + strings.Join(here, ", ")
}

// resolved is the node that an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
