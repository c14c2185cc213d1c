package config

import (
	"slices"

	"github.com/spf13/pflag"
	"github.com/troupebus/troupe/internal/config/parse"
)

// Flags are the flags of a command: settings, the file, and the deployable.
type Flags struct {
	file, deployable raw
	given            map[string]*raw // by path
}

// raw is a flag whose text is parsed later, by Load, which reports all mistakes together.
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

// Bind adds to fs a flag for every setting but the secret ones or, with paths, such as "transport" or "kafka", for the
// settings at or below these paths. Load checks the values of the flags.
func (p *Program) Bind(fs *pflag.FlagSet, paths ...string) *Flags {
	f := &Flags{file: raw{of: "FILE"}, deployable: raw{of: "NAME"}, given: map[string]*raw{}}
	fs.Var(&f.file, "config", p.helpOfFile())
	fs.Var(&f.deployable, "deployable", "name of the deployable in the settings file")
	p.bind(f, fs, func(s *setting) bool {
		return len(paths) == 0 || slices.Contains(paths, s.path) || slices.Contains(paths, s.group())
	})
	return f
}

func (p *Program) helpOfFile() string {
	return "settings file (default: " + p.DefaultFile() + ", if the file exists)"
}

// BindOwn adds to fs a flag for the file, and one for every setting that only this program has, but the secret ones. A
// flag that fs already has stays, and the setting of that name has none.
func (p *Program) BindOwn(fs *pflag.FlagSet) *Flags {
	f := &Flags{file: raw{of: "FILE"}, given: map[string]*raw{}}
	if fs.Lookup("config") == nil {
		fs.Var(&f.file, "config", p.helpOfFile())
	}
	p.bind(f, fs, func(s *setting) bool { return s.own && fs.Lookup(s.flagName()) == nil })
	return f
}

// bind adds the flags of the settings that are wanted to fs and f.
func (p *Program) bind(f *Flags, fs *pflag.FlagSet, wanted func(*setting) bool) {
	for i := range p.table {
		t := &p.table[i]
		if t.secret || !wanted(t) {
			continue
		}
		r := &raw{flag: t.flagName(), of: t.of, standard: t.standard}
		f.given[t.path] = r
		fs.Var(r, r.flag, t.help)
		if r.of == parse.KindSwitch {
			fs.Lookup(r.flag).NoOptDefVal = "true"
		}
	}
}

// Secret reports whether flag, without the leading dashes, is the name of a secret, and returns the ways to set it.
func (p *Program) Secret(flag string) (instead string, ok bool) {
	for i := range p.table {
		if t := &p.table[i]; t.secret && t.short() == flag {
			return "a secret has no flag, because other users of the machine could read it: set " + p.ways(t.path), true
		}
	}
	return "", false
}

// ways returns the ways to give the setting at path.
func (p *Program) ways(path string) string {
	t := p.named(path)
	if t.secret {
		return t.path + " or " + t.path + "-file in the file, or " + t.env()
	}
	return t.path + " in the file, " + t.env() + " or --" + t.flagName()
}
