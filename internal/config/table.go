package config

import (
	"math"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports"
)

// setting is one thing that a deployable can be told.
type setting struct {
	path     string // its place in the file, with dots
	flag     string // its flag; "" for the path with dashes
	standard string // its default, as text; "" for the zero value
	help     string
	secret   bool
	own      bool // no other program has it
	field    func(*Settings) value

	of    string   // the kind of its value
	names []string // of its variable: after its path, and after its flag where that differs
}

// flagName is "" for a secret.
func (s *setting) flagName() string {
	if s.secret {
		return ""
	}
	return s.short()
}

func (s *setting) short() string {
	if s.flag != "" {
		return s.flag
	}
	return strings.ReplaceAll(s.path, ".", "-")
}

// group returns the key of a file that the setting stands below, "" for none.
func (s *setting) group() string {
	group, _, found := strings.Cut(s.path, ".")
	if !found {
		return ""
	}
	return group
}

// builtin returns the settings that every program has, with the defaults of one called program. Their order is the
// one in which people look for them.
func builtin(program string) []setting {
	return slices.Concat(ofDeployables(program), ofKafka(program), ofPostgres())
}

// ofDeployables returns the settings of a deployable itself.
func ofDeployables(program string) []setting {
	return []setting{
		{path: "name", help: "the name of this deployable (default: its modules with dashes between them)",
			field: func(s *Settings) value { return name(&s.Name, 100) }},
		{path: "modules", standard: all, help: "the modules that run here, with commas between them, or all",
			field: func(s *Settings) value { return modules(&s.Modules) }},
		{path: "journal", standard: program + ".db", help: "the journal's file; made where there is none",
			field: func(s *Settings) value { return path(&s.Journal) }},
		{path: "http", standard: "127.0.0.1:8080", help: "the address to listen on; with port 0 a free one is chosen",
			field: func(s *Settings) value { return address(&s.HTTP) }},
		{path: "hosts", help: "host names that requests may be for, beside localhost and IP addresses, with commas between them",
			field: func(s *Settings) value { return hostNames(&s.Hosts) }},
		{path: "peers", help: "where the modules that run elsewhere can be asked, for answers to clients",
			field: func(s *Settings) value { return peers(&s.Peers) }},

		{path: "transport", standard: transports.SQLite, help: "what carries events to the other deployables: sqlite is nothing, all modules are here",
			field: func(s *Settings) value { return choice(&s.Backend.Kind, transports.Kinds()...) }},
		{path: "prefix", standard: program, help: "what the topics' names begin with: those who share it meet",
			field: func(s *Settings) value { return name(&s.Prefix, 32) }},
		{path: "create-topics", standard: "true", help: "make topics that are missing",
			field: func(s *Settings) value { return onOff(&s.Create) }},
	}
}

// ofKafka returns the settings of transport kafka.
func ofKafka(program string) []setting {
	return []setting{
		{path: "kafka.brokers", flag: "brokers", help: "where Kafka is: one broker or more, with commas between them",
			field: func(s *Settings) value { return addresses(&s.Backend.Kafka.Brokers) }},
		{path: "kafka.client-id", standard: program, help: "the name by which brokers log and limit this client",
			field: func(s *Settings) value { return name(&s.Backend.Kafka.ClientID, 100) }},
		{path: "kafka.partitions", standard: "6", help: "partitions of a topic that is made here",
			field: func(s *Settings) value { return whole(&s.Backend.Kafka.Partitions, 1, 10_000) }},
		{path: "kafka.replication", standard: "-1", help: "brokers that keep each of them; -1 for what the cluster does by default",
			field: func(s *Settings) value { return whole(&s.Backend.Kafka.Replication, -1, math.MaxInt16) }},
		{path: "kafka.compression", standard: "lz4", help: "of what is sent",
			field: func(s *Settings) value {
				return choice(&s.Backend.Kafka.Compression, "none", "gzip", "snappy", "lz4", "zstd")
			}},
		{path: "kafka.tls", standard: "false", help: "encrypt the connections",
			field: func(s *Settings) value { return onOff(&s.Backend.Kafka.TLS.Enabled) }},
		{path: "kafka.tls-ca", help: "PEM with who may vouch for a broker (default: whom the system trusts)",
			field: func(s *Settings) value { return path(&s.Backend.Kafka.TLS.CAFile) }},
		{path: "kafka.tls-cert", help: "PEM with the certificate by which brokers know this client",
			field: func(s *Settings) value { return path(&s.Backend.Kafka.TLS.CertFile) }},
		{path: "kafka.tls-key", help: "PEM with the key to it",
			field: func(s *Settings) value { return path(&s.Backend.Kafka.TLS.KeyFile) }},
		{path: "kafka.tls-server-name", help: "the name that a broker must prove to have (default: the host that is asked)",
			field: func(s *Settings) value { return name(&s.Backend.Kafka.TLS.ServerName, 253) }},
		{path: "kafka.sasl-mechanism", help: "how to log in (default: not at all)",
			field: func(s *Settings) value {
				return choice(&s.Backend.Kafka.SASL.Mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
			}},
		{path: "kafka.sasl-user", help: "as whom",
			field: func(s *Settings) value { return words(&s.Backend.Kafka.SASL.User) }},
		{path: "kafka.sasl-password", secret: true, help: "the password",
			field: func(s *Settings) value { return words(&s.Backend.Kafka.SASL.Password) }},
		{path: "kafka.sasl-password-file", help: "a file that holds the password and nothing else",
			field: func(s *Settings) value { return path(s.file("kafka.sasl-password")) }},
		{path: "kafka.sasl-readable", standard: "false", help: "let PLAIN send the password without TLS to brokers on other machines, where everybody on the way can read it",
			field: func(s *Settings) value { return onOff(&s.Backend.Kafka.SASL.Readable) }},
	}
}

// ofPostgres returns the settings of transport postgres.
func ofPostgres() []setting {
	return []setting{
		{path: "postgres.url", secret: true, help: "where Postgres is, and who logs in",
			field: func(s *Settings) value { return databaseURL(&s.Backend.Postgres.URL) }},
		{path: "postgres.url-file", help: "a file that holds the URL of Postgres and nothing else",
			field: func(s *Settings) value { return path(s.file("postgres.url")) }},
		{path: "postgres.insecure", standard: "false", help: "connect to another machine although Postgres does not prove who it is (sslmode=verify-full in the URL)",
			field: func(s *Settings) value { return onOff(&s.Backend.Postgres.Insecure) }},
		{path: "postgres.retention", standard: "168h", help: "how long messages that all have read, and those that nobody will, are kept for those who come later, or forever",
			field: func(s *Settings) value { return retention(&s.Backend.Postgres.Retention) }},
	}
}
