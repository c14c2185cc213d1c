package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// env is the name of its environment variable: its path, in capitals.
func (s *setting) env() string { return s.names[0] }

// tools matches variables of the tests and tools of this repository, which are no settings of a program called
// troupe.
var tools = regexp.MustCompile(`^TROUPE_((TEST|FAULTS|CRASH|COVER|SCHEDULES)(_|$)|KAFKA_(HOME|ADVERTISED)$)`)

// services matches variables, without the program's name, that Kubernetes and Docker set for a service: one that is
// called like the program, or like the program and another word.
var services = regexp.MustCompile(`^(.*_)?(SERVICE|PORT)(_|$)`)

// others reports whether a variable belongs to something else, however near its name is to that of a setting.
func (p *Program) others(name string) bool {
	return tools.MatchString(name) || services.MatchString(strings.TrimPrefix(name, p.variable("")))
}

// variablesOf returns all names of the variable of s: after its path, and after its flag where that differs.
func (p *Program) variablesOf(s *setting) []string {
	return slices.Compact([]string{p.variable(s.path), p.variable(s.short())})
}

// fromEnviron takes in variables. One that is nearly that of a setting is a mistake; others may be anybody's.
func (p *Program) fromEnviron(environ []string) (map[string]given, Mistakes) {
	paths := map[string]string{p.variable("config"): "", p.variable("deployable"): ""} // by variable
	for i := range p.table {
		for _, name := range p.table[i].names {
			paths[name] = p.table[i].path
		}
	}
	var mistakes Mistakes
	env := map[string]given{}
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		path, known := paths[name]
		switch {
		case !strings.HasPrefix(name, p.variable("")) || text == "":
		case path != "":
			if before, ok := env[path]; ok && before.at != name && before.text != text {
				mistakes = append(mistakes, Mistake{name, "is the same setting as " + before.at + ", which says otherwise: remove one of them"})
			}
			env[path] = given{text: text, at: name, level: fromEnv}
		case !known && !p.others(name):
			if n := p.near(name, slices.Sorted(maps.Keys(paths))); n != "" {
				mistakes = append(mistakes, Mistake{name, "no setting has this variable: did you mean " + n + "?"})
			}
		}
	}
	return env, mistakes
}

// near is the one of known that somebody may have meant by the variable called name, or "".
func (p *Program) near(name string, known []string) string {
	bare := func(name string) string { return strings.TrimPrefix(name, p.variable("")) }
	var words []string
	for _, k := range known {
		words = append(words, bare(k))
	}
	if n := nearest(bare(name), words); n != "" {
		return p.variable(n)
	}
	return ""
}
