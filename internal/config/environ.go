package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// variable is the name of what belongs to Troupe in the environment.
func variable(name string) string {
	return "TROUPE_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}

// env is the name of its environment variable: its path, in capitals.
func (s *setting) env() string { return variable(s.path) }

// variables are all names that its variable may have: one that is called after the flag is taken, too.
func (s *setting) variables() []string {
	return slices.Compact([]string{s.env(), variable(s.short())})
}

// others are variables that are none of a setting, however near: of the tests and tools of this repository, and those by which
// Kubernetes and Docker tell of a service that is called troupe, or troupe-postgres.
var others = regexp.MustCompile(`^TROUPE_((TEST|FAULTS|CRASH|COVER|SCHEDULES)(_|$)|KAFKA_(HOME|ADVERTISED)$|(.*_)?(SERVICE|PORT)(_|$))`)

// fromEnviron takes in variables. One that is nearly that of a setting is a mistake; others may be anybody's.
func fromEnviron(environ []string) (map[string]given, Mistakes) {
	paths := map[string]string{variable("config"): "", variable("deployable"): ""} // by variable
	for i := range table {
		for _, name := range table[i].variables() {
			paths[name] = table[i].path
		}
	}
	var mistakes Mistakes
	env := map[string]given{}
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		path, known := paths[name]
		switch {
		case !strings.HasPrefix(name, variable("")) || text == "":
		case path != "":
			if before, ok := env[path]; ok && before.at != name && before.text != text {
				mistakes = append(mistakes, Mistake{name, "is the same setting as " + before.at + ", which says otherwise: remove one of them"})
			}
			env[path] = given{text: text, at: name, level: fromEnv}
		case !known && !others.MatchString(name):
			if n := near(name, slices.Sorted(maps.Keys(paths))); n != "" {
				mistakes = append(mistakes, Mistake{name, "no setting has this variable: did you mean " + n + "?"})
			}
		}
	}
	return env, mistakes
}

// near is the one of known that somebody may have meant by the variable called name, or "".
func near(name string, known []string) string {
	bare := func(name string) string { return strings.TrimPrefix(name, variable("")) }
	var words []string
	for _, k := range known {
		words = append(words, bare(k))
	}
	if n := nearest(bare(name), words); n != "" {
		return variable(n)
	}
	return ""
}
