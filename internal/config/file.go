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

	"github.com/troupebus/troupe/internal/config/parse"
	"go.yaml.in/yaml/v3"
)

// deployablesKey is the key of a file with several deployables.
const deployablesKey = "deployables"

// given is a value of a setting in one source.
type given struct {
	text   string
	at     string // as Mistake.Where
	level  level
	unread bool // the value has no text, such as a list of lists; the mistake is reported already
}

// level is the rank of a source: a higher level overrides a lower one.
type level int

const (
	fromDefault level = iota
	fromFile
	fromDeployable
	fromEnv
	fromFlag
)

// file is a settings file.
type file struct {
	program     *Program
	path        string
	shared      map[string]given // by path
	deployables []described      // below deployablesKey; empty if the whole file describes one deployable
	mistakes    Mistakes
	unread      bool // the file could not be read
}

// described is a deployable below deployablesKey.
type described struct {
	name, at string
	given    map[string]given
}

// readFile reads the file at path, and notes mistakes in the result.
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

// parseFile parses data, the contents of the file at path, and notes mistakes in the result.
func (p *Program) parseFile(path string, data []byte) *file {
	f := &file{program: p, path: path, shared: map[string]given{}}
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return f // empty
	} else if err != nil {
		return f.unreadable(parse.Explain(data, err))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		f.wrong(path, "holds more than one YAML document: put what belongs to several deployables below %s", deployablesKey)
	}
	f.walk(doc.Content[0], section{level: fromFile, into: f.shared})
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

// crowded reports whether the file has as many mistakes as are reported.
func (f *file) crowded() bool { return len(f.mistakes) >= maxMistakes }

func (f *file) line(n *yaml.Node) string { return fmt.Sprintf("%s:%d", f.path, n.Line) }

// section is a mapping with settings in a file.
type section struct {
	group string // the path with a final dot; "" for the top of the file or of a deployable
	level level
	into  map[string]given
}

// walk reads the settings of a mapping.
func (f *file) walk(n *yaml.Node, p section) {
	f.each(n, strings.TrimSuffix(p.group, "."), func(key, v *yaml.Node) {
		path := p.group + key.Value
		switch s := f.program.named(path); {
		case s != nil:
			if before, twice := p.into[path]; twice { // below the group, and with the whole path as a key
				f.wrong(f.line(key), "%s is there already, at %s: remove one of them", path, before.at)
				return
			}
			text, ok := f.text(s, key, v)
			p.into[path] = given{text, f.line(key), p.level, !ok}
		case slices.Contains(f.program.groups, path):
			f.walk(v, section{path + ".", p.level, p.into})
		case path == deployablesKey && p.level == fromFile:
			f.describe(v)
		case !f.crowded():
			f.wrong(f.line(key), "unknown key %s: %s", path, f.hint(key.Value, p))
		}
	})
}

// each calls fn for each key of the mapping called name. A repeated key is a mistake, and fn gets the first only.
func (f *file) each(n *yaml.Node, name string, fn func(key, v *yaml.Node)) {
	n = resolved(n)
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.wrong(f.line(n), "%s is a plain value or a list: want keys with values", cmp.Or(name, "the file"))
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

// describe reads the deployables of the file.
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
		f.walk(v, section{level: fromDeployable, into: d.given})
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

// text returns the value of s in node n as a flag would have the value: a list is joined with commas.
func (f *file) text(s *setting, key, n *yaml.Node) (text string, ok bool) {
	switch {
	case n.Tag == "!!null":
		f.wrong(f.line(key), "%s has no value: give it one, or remove the line", s.path)
	case n.Kind == yaml.ScalarNode:
		return n.Value, true
	case n.Kind == yaml.SequenceNode && s.isList() && !slices.ContainsFunc(n.Content, nested):
		var items []string
		for _, item := range n.Content {
			items = append(items, resolved(item).Value)
		}
		if s.own && slices.ContainsFunc(items, func(item string) bool { return strings.Contains(item, ",") }) {
			f.wrong(f.line(key), "%s has an item with a comma, which would be two items: leave the comma out", s.path)
			return "", false
		}
		return strings.Join(items, ","), true
	case n.Kind == yaml.MappingNode && s.of == parse.KindPairs && !slices.ContainsFunc(n.Content, nested):
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

// hint returns a suggestion for an unknown key.
func (f *file) hint(key string, p section) string {
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

// resolved returns the node of an alias, and any other node itself.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
