package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports"
)

// Deployable is one of those that Check looked at, as its file describes it.
type Deployable struct {
	Name      string   `json:"name"`
	Where     string   `json:"where"` // the file, with the line where it describes several
	Modules   []string `json:"modules"`
	Transport string   `json:"transport"`
	Prefix    string   `json:"prefix"`
	At        string   `json:"at"` // where the transport is, without who logs in; "" where the file does not say
	Journal   string   `json:"journal"`
	HTTP      string   `json:"http"`

	peers    map[string]string
	peersAt  string     // where they are described
	meets    []string   // where the transport is, in one form: those who have one in common meet
	database databaseAt // with transport postgres
}

// Report is what Check found. Only what is in Wrong keeps the deployables from being one system.
type Report struct {
	Deployables []Deployable `json:"deployables"` // never nil
	Wrong       Mistakes     `json:"wrong"`       // never nil
	Warnings    Mistakes     `json:"warnings"`    // never nil
}

// Check holds files, which describe all deployables of a system, against each other: whether each module of the program runs in
// one of them, and whether they meet. It looks at nothing but the files: not at the environment, nor at what they refer to.
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
	if !complete { // what is missing may be in the file that is
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

// Described are the deployables that the file at path describes, as far as it can be read, by the names that choose them; none
// where it describes one only.
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

// all are the deployables of a file, be they named there or not.
func (f *file) all() []described {
	switch {
	case f.unread:
		return nil
	case len(f.deployables) == 0:
		return []described{{at: f.path}}
	}
	return f.deployables
}

// load is what the file alone says of d, and what is wrong with that.
func (d described) load(f *file) (*Loaded, Mistakes) {
	l := f.program.loaded()
	wrong := l.take(f.shared, d.given)
	return l, append(wrong, l.hold(always)...)
}

func (l *Loaded) deployable(where string) Deployable {
	d := Deployable{Name: l.Name, Where: where, Modules: l.Modules, Transport: l.Backend.Kind, Prefix: l.Prefix, At: l.Where(), Journal: l.Journal, HTTP: l.HTTP,
		peers: l.Peers, peersAt: l.from["peers"].at}
	if d.Modules == nil {
		d.Modules = l.program.modules
	}
	switch d.Transport {
	case transports.Kafka:
		d.meets = brokers(l.Backend.Kafka.Brokers)
	case transports.Postgres:
		d.database, _ = databaseOf(l.Backend.Postgres.URL)
		d.meets = d.database.places
	}
	return d
}

// alone reports whether nothing leaves d, or reaches it.
func (d Deployable) alone() bool { return d.Transport == transports.SQLite }

// String is its name and where it is described.
func (d Deployable) String() string { return fmt.Sprintf("%s (%s)", d.Name, d.Where) }

func (r *Report) wrong(where, format string, args ...any) {
	r.Wrong = append(r.Wrong, Mistake{where, fmt.Sprintf(format, inMessage(args)...)})
}

func (r *Report) warn(where, format string, args ...any) {
	r.Warnings = append(r.Warnings, Mistake{where, fmt.Sprintf(format, inMessage(args)...)})
}

// modules finds those that run nowhere, or more than once.
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

// where lists the deployables that are as is asked.
func (r *Report) where(is func(Deployable) bool) (found []string) {
	for _, d := range r.Deployables {
		if is(d) {
			found = append(found, d.String())
		}
	}
	return found
}

// names finds those that several have.
func (r *Report) names() {
	r.eachShared(func(d Deployable) string { return d.Name }, func(name string, in []string) {
		r.wrong("", "%s are both called %s: give each a name of its own", strings.Join(in, " and "), name)
	})
}

// eachShared calls fn for every key, but "", that several deployables have.
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

// reach finds deployables without a transport whose modules have others to talk to.
func (r *Report) reach(known []string) {
	for _, d := range r.Deployables {
		if d.alone() && (len(r.Deployables) > 1 || len(d.Modules) < len(known)) {
			r.wrong(d.Where, "%s has no transport: nobody elsewhere receives the events of %s; set transport to %s", d.Name, strings.Join(d.Modules, ", "),
				strings.Join(transports.Kinds()[1:], " or "))
		}
	}
}

// meet finds transports that do not lead to each other.
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
				r.warn(d.Where, "%s does not say where %s is: it has to be told with %s when it is started", d.Name, kind, p.named(path).env())
			}
		}
		of = slices.DeleteFunc(of, func(d Deployable) bool { return d.At == "" })
		r.services(of)
		of = slices.DeleteFunc(of, func(d Deployable) bool { return d.database.service != "" })
		apart(r, of, path, some, func(d Deployable) []string { return d.meets })
		of = slices.DeleteFunc(of, func(d Deployable) bool { return d.database.schema == "" })
		apart(r, of, path+" with search_path", "schemas", func(d Deployable) []string { return []string{d.database.schema} })
	}
}

// services says of databases that a file of services names that they cannot be compared with others.
func (r *Report) services(among []Deployable) {
	for _, d := range among {
		if s := d.database.service; s != "" && among[0].database.service != s || s == "" && among[0].database.service != "" {
			r.warn(d.Where, "whether %s and %s use one database cannot be told: the file of services is not looked at", d.Name, among[0])
		}
	}
}

// apart finds deployables that have nothing of a property in common with the first one, not even by way of others.
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

// collide finds what can be only once on one host.
func (r *Report) collide() {
	r.eachShared(func(d Deployable) string { return sameFile(d.Journal) }, func(journal string, in []string) {
		i := slices.IndexFunc(r.Deployables, func(d Deployable) bool { return sameFile(d.Journal) == journal })
		r.warn("", "%s have the same journal, %s: on one host, each needs its own", strings.Join(in, " and "), filepath.Clean(r.Deployables[i].Journal))
	})
	for i, d := range r.Deployables {
		in, addresses := []string{d.String()}, []string{d.HTTP}
		for _, other := range r.Deployables[i+1:] {
			if listens(d.HTTP, other.HTTP) {
				in, addresses = append(in, other.String()), append(addresses, other.HTTP)
			}
		}
		if first := slices.IndexFunc(r.Deployables, func(o Deployable) bool { return listens(o.HTTP, d.HTTP) }); len(in) == 1 || first < i {
			continue // it was said of the first one
		}
		r.warn("", "%s listen on the same address, %s: on one host, each needs its own", strings.Join(in, " and "),
			strings.Join(slices.Compact(slices.Sorted(slices.Values(addresses))), " and "))
	}
}
