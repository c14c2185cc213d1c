package config

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the settings that the command line gives, and where it says the others are.
type Flags struct {
	file, deployable raw
	given            map[string]*raw // by path
}

// raw is a flag that is not judged before everything else is.
type raw struct {
	text     string
	of       string
	standard string
	given    bool
}

// Set implements pflag.Value.
func (r *raw) Set(text string) error {
	r.text, r.given = text, true
	return nil
}

// String implements pflag.Value.
func (r *raw) String() string {
	if r.given {
		return r.text
	}
	return r.standard
}

// Type implements pflag.Value.
func (r *raw) Type() string { return r.of }

// Bind gives fs a flag for every setting but the secret ones, or, with paths, such as "transport" or "kafka", for those at or
// below them. Load judges what they say.
func Bind(fs *pflag.FlagSet, paths ...string) *Flags {
	f := &Flags{file: raw{of: "FILE"}, deployable: raw{of: "NAME"}, given: map[string]*raw{}}
	fs.Var(&f.file, "config", "read settings from this file (default: "+DefaultFile+", if it is there)")
	fs.Var(&f.deployable, "deployable", "which of the deployables that the file describes")
	var s Settings
	for i := range table {
		t := &table[i]
		group, _, _ := strings.Cut(t.path, ".")
		if t.secret || len(paths) > 0 && !slices.Contains(paths, t.path) && !slices.Contains(paths, group) {
			continue
		}
		r := &raw{of: t.field(&s).kind(), standard: t.standard}
		f.given[t.path] = r
		fs.Var(r, t.flagName(), t.help)
		if r.of == kindSwitch {
			fs.Lookup(t.flagName()).NoOptDefVal = "true"
		}
	}
	return f
}

// Secret reports whether flag, without dashes, would be that of a secret if these had any, and says what to do instead.
func Secret(flag string) (instead string, ok bool) {
	for i := range table {
		if t := &table[i]; t.secret && t.short() == flag {
			return "there is no flag for it, which other users of the machine could read: set " + ways(t.path), true
		}
	}
	return "", false
}

// ways is how a setting can be given.
func ways(path string) string {
	t := named(path)
	if t.secret {
		return t.path + " or " + t.path + "-file in the file, or " + t.env()
	}
	return t.path + " in the file, " + t.env() + " or --" + t.flagName()
}
