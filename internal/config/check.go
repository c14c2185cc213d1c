package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupebus/troupe/internal/config/endpoint"
	"github.com/troupebus/troupe/transports"
)

// Deployable is a deployable as a settings file describes it.
type Deployable struct {
	Name      string   `json:"name"`
	Where     string   `json:"where"` // the file, with the line if the file describes several deployables
	Modules   []string `json:"modules"`
	Transport string   `json:"transport"`
	Prefix    string   `json:"prefix"`
	At        string   `json:"at"` // address of the backend, without user and password; "" if the file has none
	Journal   string   `json:"journal"`
	HTTP      string   `json:"http"`

	peers    map[string]string
	peersAt  string            // the place of peers in the file
	meets    []string          // normalized addresses of the backend: deployables with a common address meet
	database endpoint.Database // for transport postgres
}

// Report is the result of Check. The deployables are one system if Wrong is empty.
type Report struct {
	Deployables []Deployable `json:"deployables"` // never nil
	Wrong       Mistakes     `json:"wrong"`       // never nil
	Warnings    Mistakes     `json:"warnings"`    // never nil
}

// Check compares files, which describe all deployables of a system: each module of the program must run in one
// deployable, and all deployables must use the same backend. Check reads only the files: neither the environment, nor
// files that a settings file refers to, such as passwords.
func (p *Program) Check(files ...string) Report {
	r := Report{Deployables: []Deployable{}, Wrong: Mistakes{}, Warnings: Mistakes{}}
	complete := true
	for _, path := range files {
		f := p.readFile(path)
		r.Wrong = append(r.Wrong, f.mistakes...)
		complete = complete && !f.unread
		for _, d := range f.all() {
			if len(r.Deployables) == maxDeployables {
				r.wrong(d.at, "there are more than %d deployables: those from here on are not looked at", maxDeployables)
				complete = false
				break
			}
			l, wrong := d.load(f)
			r.Wrong = append(r.Wrong, wrong...)
			one := l.deployable(d.at)
			for _, m := range l.validate() {
				r.warn(cmp.Or(m.Where, d.at), "%s does not start with its file alone: %s", one.Name, m.What)
			}
			r.Deployables = append(r.Deployables, one)
		}
	}
	if !complete { // a module that seems missing may be in an unreadable file
		return r
	}
	r.modules(p.modules)
	r.names()
	r.reach(p.modules)
	r.meet(p)
	r.peers(p.modules)
	r.collide()
	r.Wrong = r.Wrong.once()
	return r
}

// Described returns the deployables below the key deployables in the file at path, with their keys as names. Unreadable
// parts are left out.
func (p *Program) Described(path string) (found []Deployable) {
	f := p.readFile(path)
	for _, d := range f.deployables {
		l, _ := d.load(f)
		one := l.deployable(d.at)
		one.Name = d.name
		found = append(found, one)
	}
	return found
}

// all returns the deployables of a file. A file without the key deployables describes one, without a name.
func (f *file) all() []described {
	switch {
	case f.unread:
		return nil
	case len(f.deployables) == 0:
		return []described{{at: f.path}}
	}
	return f.deployables
}

// load returns the settings of d from the file alone, and the mistakes in them.
func (d described) load(f *file) (*Loaded, Mistakes) {
	l := f.program.loaded()
	wrong := l.take(f.shared, d.given)
	return l, append(wrong, l.hold(always)...)
}

func (l *Loaded) deployable(where string) Deployable {
	d := Deployable{
		Name: l.Name, Where: where, Modules: l.Modules, Transport: l.Backend.Kind, Prefix: l.Prefix, At: l.Where(),
		Journal: l.Journal, HTTP: l.HTTP, peers: l.Peers, peersAt: l.from["peers"].at,
	}
	if d.Modules == nil {
		d.Modules = l.program.modules
	}
	switch d.Transport {
	case transports.Kafka:
		d.meets = endpoint.Brokers(l.Backend.Kafka.Brokers)
	case transports.Postgres:
		d.database, _ = endpoint.ParseDatabase(l.Backend.Postgres.URL)
		d.meets = d.database.Addresses
	}
	return d
}

// alone reports whether d has no transport.
func (d Deployable) alone() bool { return d.Transport == transports.SQLite }

// String returns the name, and the place in the file.
func (d Deployable) String() string { return fmt.Sprintf("%s (%s)", d.Name, d.Where) }

func (r *Report) wrong(where, format string, args ...any) {
	r.Wrong = append(r.Wrong, Mistake{where, fmt.Sprintf(format, inMessage(args)...)})
}

func (r *Report) warn(where, format string, args ...any) {
	r.Warnings = append(r.Warnings, Mistake{where, fmt.Sprintf(format, inMessage(args)...)})
}

// modules reports modules that run nowhere or in several deployables.
func (r *Report) modules(known []string) {
	for _, m := range known {
		in := r.where(func(d Deployable) bool { return slices.Contains(d.Modules, m) })
		switch len(in) {
		case 0:
			r.wrong("", "module %s runs nowhere: add it to the modules of one deployable", m)
		case 1:
		default:
			r.wrong("", "module %s runs in %s: everything would be done in each of them; leave it to one", m, strings.Join(in, " and "))
		}
	}
}

// where returns the deployables for which is returns true, as texts.
func (r *Report) where(is func(Deployable) bool) (found []string) {
	for _, d := range r.Deployables {
		if is(d) {
			found = append(found, d.String())
		}
	}
	return found
}

// names reports names of several deployables.
func (r *Report) names() {
	r.eachShared(func(d Deployable) string { return d.Name }, func(name string, in []string) {
		r.wrong("", "%s are both called %s: give each a name of its own", strings.Join(in, " and "), name)
	})
}

// eachShared calls fn for every key that several deployables have, except for "".
func (r *Report) eachShared(key func(Deployable) string, fn func(key string, in []string)) {
	var seen []string
	for _, d := range r.Deployables {
		k := key(d)
		if k == "" || slices.Contains(seen, k) {
			continue
		}
		seen = append(seen, k)
		if in := r.where(func(d Deployable) bool { return key(d) == k }); len(in) > 1 {
			fn(k, in)
		}
	}
}

// reach reports deployables without a transport, if some modules run elsewhere.
func (r *Report) reach(known []string) {
	for _, d := range r.Deployables {
		if d.alone() && (len(r.Deployables) > 1 || len(d.Modules) < len(known)) {
			r.wrong(d.Where, "%s has no transport: no other deployable receives the events of %s; set transport to %s",
				d.Name, strings.Join(d.Modules, ", "), strings.Join(transports.Kinds()[1:], " or "))
		}
	}
}

// meet reports deployables that use different transports, prefixes or backends.
func (r *Report) meet(p *Program) {
	connected := slices.DeleteFunc(slices.Clone(r.Deployables), Deployable.alone)
	apart(r, connected, "transport", "transports", func(d Deployable) []string { return []string{d.Transport} })
	apart(r, connected, "prefix", "prefixes", func(d Deployable) []string { return []string{d.Prefix} })
	for _, kind := range transports.Kinds()[1:] {
		path, some := "kafka.brokers", "brokers"
		if kind == transports.Postgres {
			path, some = "postgres.url", "databases"
		}
		of := slices.DeleteFunc(slices.Clone(connected), func(d Deployable) bool { return d.Transport != kind })
		for _, d := range of {
			if d.At == "" {
				r.warn(d.Where, "%s does not say where %s is: set %s when you start the deployable", d.Name, kind, p.named(path).env())
			}
		}
		of = slices.DeleteFunc(of, func(d Deployable) bool { return d.At == "" })
		r.services(of)
		of = slices.DeleteFunc(of, func(d Deployable) bool { return d.database.Service != "" })
		apart(r, of, path, some, func(d Deployable) []string { return d.meets })
		of = slices.DeleteFunc(of, func(d Deployable) bool { return d.database.Schema == "" })
		apart(r, of, path+" with search_path", "schemas", func(d Deployable) []string { return []string{d.database.Schema} })
	}
}

// services warns of databases that are named by a service: Check does not read the service file, so the databases
// cannot be compared.
func (r *Report) services(among []Deployable) {
	for _, d := range among {
		if s := d.database.Service; s != "" && among[0].database.Service != s || s == "" && among[0].database.Service != "" {
			r.warn(d.Where, "%s and %s may use different databases: check does not read the service file of Postgres", d.Name, among[0])
		}
	}
}

// apart reports deployables that have no value of a property in common with the first deployable, directly or through
// other deployables.
func apart(r *Report, among []Deployable, property, several string, of func(Deployable) []string) {
	if len(among) == 0 {
		return
	}
	met, rest := of(among[0]), among[1:]
	for again := true; again; {
		before := len(rest)
		rest = slices.DeleteFunc(slices.Clone(rest), func(d Deployable) bool {
			meets := slices.ContainsFunc(of(d), func(v string) bool { return slices.Contains(met, v) })
			if meets {
				met = append(met, of(d)...)
			}
			return meets
		})
		again = len(rest) < before
	}
	for _, d := range rest {
		r.wrong(d.Where, "%s is %s in %s, and %s in %s: with other %s they do not meet", property, strings.Join(of(d), ","), d.Name,
			strings.Join(of(among[0]), ","), among[0], several)
	}
}

// collide warns of journals and addresses that several deployables have: on one host, they would clash.
func (r *Report) collide() {
	r.eachShared(func(d Deployable) string { return endpoint.SameFile(d.Journal) }, func(journal string, in []string) {
		i := slices.IndexFunc(r.Deployables, func(d Deployable) bool { return endpoint.SameFile(d.Journal) == journal })
		r.warn("", "%s have the same journal, %s: on one host, each needs its own", strings.Join(in, " and "), filepath.Clean(r.Deployables[i].Journal))
	})
	for i, d := range r.Deployables {
		in, addresses := []string{d.String()}, []string{d.HTTP}
		for _, other := range r.Deployables[i+1:] {
			if endpoint.Clash(d.HTTP, other.HTTP) {
				in, addresses = append(in, other.String()), append(addresses, other.HTTP)
			}
		}
		clashes := func(o Deployable) bool { return endpoint.Clash(o.HTTP, d.HTTP) }
		if len(in) == 1 || slices.IndexFunc(r.Deployables, clashes) < i {
			continue // the first deployable of the group has reported this
		}
		r.warn("", "%s listen on the same address, %s: on one host, each needs its own", strings.Join(in, " and "),
			strings.Join(slices.Compact(slices.Sorted(slices.Values(addresses))), " and "))
	}
}
