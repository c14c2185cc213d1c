package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports"
)

// rule is a condition on several settings. A rule is skipped if one of the settings has a mistake.
type rule struct {
	about []string // paths; a mistake is reported at the first
	check func(l *Loaded) []string
}

// rules are for the settings of a process that starts.
var rules = append([]rule{
	{[]string{"transport", "kafka.brokers"}, func(l *Loaded) []string {
		return when(l.Backend.Kind == transports.Kafka && len(l.Backend.Kafka.Brokers) == 0, "transport kafka needs to know where Kafka is: set %s", l.program.ways("kafka.brokers"))
	}},
	{[]string{"transport", "postgres.url"}, func(l *Loaded) []string {
		return when(l.Backend.Kind == transports.Postgres && l.Backend.Postgres.URL == "", "transport postgres needs to know where Postgres is: set %s", l.program.ways("postgres.url"))
	}},
	{[]string{"postgres.url", "postgres.insecure", "prefix", "transport"}, func(l *Loaded) []string {
		c := l.Transport()
		if c.Group = "any"; c.Kind != transports.Postgres || c.Postgres.URL == "" {
			return nil
		}
		err := c.Validate()
		return when(err != nil, "%v, which is %s", err, l.program.ways("postgres.insecure"))
	}},
	{[]string{"modules", "transport"}, func(l *Loaded) []string {
		away := slices.DeleteFunc(slices.Clone(l.program.modules), l.Runs)
		return when(l.Backend.Kind == transports.SQLite && len(away) > 0, "modules leaves out %s, and there is no transport to them: set %s to kafka or postgres, or run all",
			strings.Join(away, ", "), l.program.ways("transport"))
	}},
	{[]string{"kafka.sasl-mechanism", "kafka.sasl-user", "kafka.sasl-password", "kafka.sasl-password-file"}, func(l *Loaded) []string {
		s := l.Backend.Kafka.SASL
		return append(when(s.Mechanism != "" && s.User == "", "a login with %s needs a user: set %s", s.Mechanism, l.program.ways("kafka.sasl-user")),
			when(s.Mechanism != "" && s.Password == "", "a login with %s needs a password: set %s", s.Mechanism, l.program.ways("kafka.sasl-password"))...)
	}},
}, always...)

// always are the rules that are also for a file alone, without the variables and flags of the process.
var always = append([]rule{
	{[]string{"modules"}, func(l *Loaded) (found []string) {
		for i, m := range l.Modules {
			found = append(found, unknown(m, l.program.modules)...)
			found = append(found, when(slices.Index(l.Modules, m) < i, "modules has %s twice", shown(m))...)
			if len(found) >= maxMistakes {
				break
			}
		}
		return found
	}},
	{[]string{"peers"}, func(l *Loaded) (found []string) {
		for _, m := range slices.Sorted(maps.Keys(l.Peers)) {
			found = append(found, unknown(m, l.program.modules)...)
		}
		return found
	}},
	{[]string{"kafka.tls-cert", "kafka.tls-key"}, func(l *Loaded) []string {
		return when(l.Backend.Kafka.TLS.CertFile != "" && l.Backend.Kafka.TLS.KeyFile == "", "kafka.tls-cert needs kafka.tls-key beside it")
	}},
	{[]string{"kafka.tls-key", "kafka.tls-cert"}, func(l *Loaded) []string {
		return when(l.Backend.Kafka.TLS.KeyFile != "" && l.Backend.Kafka.TLS.CertFile == "", "kafka.tls-key needs kafka.tls-cert beside it")
	}},
}, append(usesOfTransports(), needless()...)...)

// usesOfTransports returns rules against an address of a backend whose transport is not used. A file may keep the
// address when a flag or a variable overrides the transport of the file.
func usesOfTransports() (found []rule) {
	for _, use := range [][2]string{{"kafka.brokers", transports.Kafka}, {"postgres.url", transports.Postgres}} {
		path, kind := use[0], use[1]
		found = append(found, rule{[]string{path, "transport"}, func(l *Loaded) []string {
			is, transport := l.from[path], l.from["transport"]
			return when(is.level > fromDefault && l.Backend.Kind != kind && is.level >= transport.level,
				"%s is for transport %s, but transport is %s: set %s to %s, or leave it out", path, kind, l.Backend.Kind, l.program.ways("transport"), kind)
		}})
	}
	return found
}

// needless returns rules against settings of a feature that is off.
func needless() (found []rule) {
	for _, pair := range [][2]string{
		{"kafka.tls-ca", "kafka.tls"}, {"kafka.tls-cert", "kafka.tls"}, {"kafka.tls-key", "kafka.tls"}, {"kafka.tls-server-name", "kafka.tls"},
		{"kafka.sasl-user", "kafka.sasl-mechanism"}, {"kafka.sasl-password", "kafka.sasl-mechanism"}, {"kafka.sasl-readable", "kafka.sasl-mechanism"},
	} {
		path, needs := pair[0], pair[1]
		found = append(found, rule{[]string{path, needs}, func(l *Loaded) []string {
			is := l.program.named(needs).field(&l.Settings).String()
			return when(l.from[path].level > fromDefault && (is == "" || is == "false"), "%s does nothing without %s: set %s, or leave it out", path, needs, l.program.ways(needs))
		}})
	}
	return found
}

// hold returns the mistakes that rules find.
func (l *Loaded) hold(rules []rule) (mistakes Mistakes) {
	for _, r := range rules {
		if slices.ContainsFunc(r.about, func(path string) bool { return l.bad[path] }) {
			continue
		}
		for _, what := range r.check(l) {
			mistakes = append(mistakes, Mistake{l.from[r.about[0]].at, what})
		}
	}
	return mistakes
}

// when returns the formatted text if holds is true, and no text otherwise.
func when(holds bool, format string, args ...any) []string {
	if !holds {
		return nil
	}
	return []string{fmt.Sprintf(format, args...)}
}

func unknown(module string, known []string) []string {
	if slices.Contains(known, module) {
		return nil
	}
	return []string{fmt.Sprintf("there is no module %s: %s", quoted(module), choices(module, known))}
}
