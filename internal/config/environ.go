package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// env returns the name of the environment variable: the path in capitals.
func (s *setting) env() string { return s.names[0] }

// tools matches variables of the tests and tools of this repository. They are not settings of the program troupe.
var tools = regexp.MustCompile(`^TROUPE_(` +
	`(TEST|FAULTS|CRASH|COVER|SCHEDULES|GROWN|TORTURE|POWERCUT|SIM_TEST|MOVE|READ)(_|$)|KAFKA_(HOME|ADVERTISED)$)`)

// services matches variables, without the program's name, that Kubernetes and Docker set for a service whose name
// begins with the name of the program.
var services = regexp.MustCompile(`^(.*_)?(SERVICE|PORT)(_|$)`)

// others reports whether a variable belongs to other software, even if the name is close to the variable of a setting.
func (p *Program) others(name string) bool {
	return tools.MatchString(name) || services.MatchString(strings.TrimPrefix(name, p.variable("")))
}

// variablesOf returns the names of the variable of s: after the path, and after the flag if the flag differs.
func (p *Program) variablesOf(s *setting) []string {
	return slices.Compact([]string{p.variable(s.path), p.variable(s.short())})
}

// variables returns the path of the setting of each variable, and "" for a variable that is not of a setting.
func (p *Program) variables() map[string]string {
	paths := map[string]string{p.variable("config"): "", p.variable("deployable"): ""}
	for i := range p.table {
		for _, name := range p.table[i].names {
			paths[name] = p.table[i].path
		}
	}
	return paths
}

// fromEnviron reads the variables of settings. A variable whose name is nearly the name of a setting's is a mistake.
func (p *Program) fromEnviron(environ []string) (map[string]given, Mistakes) {
	paths := p.variables()
	var mistakes Mistakes
	env := map[string]given{}
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		path, known := paths[name]
		switch {
		case !strings.HasPrefix(name, p.variable("")) || text == "":
		case path != "":
			if before, ok := env[path]; ok && before.at != name && before.text != text {
				mistakes = append(mistakes,
					Mistake{name, "is the same setting as " + before.at + ", with another value: remove one of them"})
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

// UnknownVariables returns a warning for each variable in environ that begins with the name of the program and is of no
// setting. Load reports those that are nearly the variable of a setting.
func (p *Program) UnknownVariables(environ []string) (found Mistakes) {
	paths := p.variables()
	known := slices.Sorted(maps.Keys(paths))
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if _, ok := paths[name]; ok || text == "" || !strings.HasPrefix(name, p.variable("")) || p.others(name) {
			continue
		}
		if p.near(name, known) == "" {
			found = append(found,
				Mistake{name, "no setting has this variable, so the value is not used: see '" + p.name + " config --help'"})
		}
	}
	return found
}

// near returns the known variable that is nearest to the variable name, or "" if none is near.
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
