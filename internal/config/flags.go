package config

import (
	"slices"

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
	flag     string
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
func (p *Program) Bind(fs *pflag.FlagSet, paths ...string) *Flags {
	f := &Flags{file: raw{of: "FILE"}, deployable: raw{of: "NAME"}, given: map[string]*raw{}}
	fs.Var(&f.file, "config", "read settings from this file (default: "+p.DefaultFile()+", if it is there)")
	fs.Var(&f.deployable, "deployable", "which of the deployables that the file describes")
	for i := range p.table {
		t := &p.table[i]
		if t.secret || len(paths) > 0 && !slices.Contains(paths, t.path) && !slices.Contains(paths, t.group()) {
			continue
		}
		r := &raw{flag: t.flagName(), of: t.of, standard: t.standard}
		f.given[t.path] = r
		fs.Var(r, r.flag, t.help)
		if r.of == kindSwitch {
			fs.Lookup(r.flag).NoOptDefVal = "true"
		}
	}
	return f
}

// Secret reports whether flag, without dashes, would be that of a secret if these had any, and says what to do instead.
func (p *Program) Secret(flag string) (instead string, ok bool) {
	for i := range p.table {
		if t := &p.table[i]; t.secret && t.short() == flag {
			return "there is no flag for it, which other users of the machine could read: set " + p.ways(t.path), true
		}
	}
	return "", false
}

// ways is how a setting can be given.
func (p *Program) ways(path string) string {
	t := p.named(path)
	if t.secret {
		return t.path + " or " + t.path + "-file in the file, or " + t.env()
	}
	return t.path + " in the file, " + t.env() + " or --" + t.flagName()
}
