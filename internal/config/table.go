package config

import (
	"math"
	"slices"
	"strings"

	"github.com/troupebus/troupe/internal/config/parse"
	"github.com/troupebus/troupe/transports"
)

// setting is the declaration of a setting.
type setting struct {
	path     string // keys in the file, joined by dots
	flag     string // "" for the path with dashes
	standard string // the default, as text; "" for the zero value
	help     string
	secret   bool
	own      bool // a setting of this program only
	field    func(*Settings) parse.Value

	of    string   // the kind of the value
	names []string // of the variable: after the path, and after the flag if the flag differs
}

// flagName returns the name of the flag, or "" for a secret.
func (s *setting) flagName() string {
	if s.secret {
		return ""
	}
	return s.short()
}

// isList reports whether a file can have the value as a list.
func (s *setting) isList() bool {
	return strings.HasSuffix(s.of, parse.Several) && s.of != parse.KindPairs
}

func (s *setting) short() string {
	if s.flag != "" {
		return s.flag
	}
	return strings.ReplaceAll(s.path, ".", "-")
}

// group returns the first key of a path with two keys, and "" for a path with one.
func (s *setting) group() string {
	group, _, found := strings.Cut(s.path, ".")
	if !found {
		return ""
	}
	return group
}

// builtin returns the settings of every program, with the defaults for the name program. Help lists the settings in
// this order.
func builtin(program string) []setting {
	return slices.Concat(ofDeployables(program), ofKafka(program), ofPostgres())
}

// ofDeployables returns the settings of a deployable, without the settings of a transport.
func ofDeployables(program string) []setting {
	return []setting{
		{path: "name", help: "name of this deployable (default: the names of its modules, joined by dashes)",
			field: func(s *Settings) parse.Value { return parse.Name(&s.Name, 100) }},
		{path: "modules", standard: parse.All, help: "modules that run here, separated by commas, or all",
			field: func(s *Settings) parse.Value { return parse.Modules(&s.Modules) }},
		{path: "journal", standard: program + ".db", help: "journal file, created if missing",
			field: func(s *Settings) parse.Value { return parse.Path(&s.Journal) }},
		{path: "http", standard: "127.0.0.1:8080", help: "address to listen on; port 0 chooses a free port",
			field: func(s *Settings) parse.Value { return parse.Address(&s.HTTP) }},
		{path: "hosts", help: "accepted host names of requests, beside localhost and IP addresses, separated by commas",
			field: func(s *Settings) parse.Value { return parse.HostNames(&s.Hosts) }},
		{path: "peers", help: "URLs of the deployables that run other modules, for answers to clients",
			field: func(s *Settings) parse.Value { return parse.Peers(&s.Peers) }},

		{path: "transport", standard: transports.SQLite, help: "transport to the other deployables; sqlite for none: all modules run here",
			field: func(s *Settings) parse.Value { return parse.Choice(&s.Backend.Kind, transports.Kinds()...) }},
		{path: "prefix", standard: program, help: "prefix of the topic names, the same for all deployables of a system",
			field: func(s *Settings) parse.Value { return parse.Name(&s.Prefix, 32) }},
		{path: "create-topics", standard: "true", help: "create missing topics",
			field: func(s *Settings) parse.Value { return parse.OnOff(&s.Create) }},
	}
}

// ofKafka returns the settings of transport kafka.
func ofKafka(program string) []setting {
	return []setting{
		{path: "kafka.brokers", flag: "brokers", help: "addresses of Kafka brokers, separated by commas",
			field: func(s *Settings) parse.Value { return parse.Addresses(&s.Backend.Kafka.Brokers) }},
		{path: "kafka.client-id", standard: program, help: "name of this client in the logs and quotas of the brokers",
			field: func(s *Settings) parse.Value { return parse.Name(&s.Backend.Kafka.ClientID, 100) }},
		{path: "kafka.partitions", standard: "6", help: "number of partitions of a created topic",
			field: func(s *Settings) parse.Value { return parse.Whole(&s.Backend.Kafka.Partitions, 1, 10_000) }},
		{path: "kafka.replication", standard: "-1", help: "number of replicas of a created topic; -1 for the default of the cluster",
			field: func(s *Settings) parse.Value { return parse.Whole(&s.Backend.Kafka.Replication, -1, math.MaxInt16) }},
		{path: "kafka.compression", standard: "lz4", help: "compression of sent messages",
			field: func(s *Settings) parse.Value {
				return parse.Choice(&s.Backend.Kafka.Compression, "none", "gzip", "snappy", "lz4", "zstd")
			}},
		{path: "kafka.tls", standard: "false", help: "encrypt the connections",
			field: func(s *Settings) parse.Value { return parse.OnOff(&s.Backend.Kafka.TLS.Enabled) }},
		{path: "kafka.tls-ca", help: "PEM file of trusted CA certificates (default: the system's)",
			field: func(s *Settings) parse.Value { return parse.Path(&s.Backend.Kafka.TLS.CAFile) }},
		{path: "kafka.tls-cert", help: "PEM file with the certificate of this client",
			field: func(s *Settings) parse.Value { return parse.Path(&s.Backend.Kafka.TLS.CertFile) }},
		{path: "kafka.tls-key", help: "PEM file with the key of the client certificate",
			field: func(s *Settings) parse.Value { return parse.Path(&s.Backend.Kafka.TLS.KeyFile) }},
		{path: "kafka.tls-server-name", help: "host name in the certificate of a broker (default: the host of its address)",
			field: func(s *Settings) parse.Value { return parse.Name(&s.Backend.Kafka.TLS.ServerName, 253) }},
		{path: "kafka.sasl-mechanism", help: "login mechanism (default: no login)",
			field: func(s *Settings) parse.Value {
				return parse.Choice(&s.Backend.Kafka.SASL.Mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
			}},
		{path: "kafka.sasl-user", help: "user name for the login",
			field: func(s *Settings) parse.Value { return parse.Words(&s.Backend.Kafka.SASL.User) }},
		{path: "kafka.sasl-password", secret: true, help: "password for the login",
			field: func(s *Settings) parse.Value { return parse.Words(&s.Backend.Kafka.SASL.Password) }},
		{path: "kafka.sasl-password-file", help: "file with the password and nothing else",
			field: func(s *Settings) parse.Value { return parse.Path(s.file("kafka.sasl-password")) }},
		{path: "kafka.sasl-readable", standard: "false", help: "allow PLAIN to send the password without TLS to other machines, readable on the way",
			field: func(s *Settings) parse.Value { return parse.OnOff(&s.Backend.Kafka.SASL.Readable) }},
	}
}

// ofPostgres returns the settings of transport postgres.
func ofPostgres() []setting {
	return []setting{
		{path: "postgres.url", secret: true, help: "URL of the Postgres database, with user and password",
			field: func(s *Settings) parse.Value { return parse.DatabaseURL(&s.Backend.Postgres.URL) }},
		{path: "postgres.url-file", help: "file with the URL and nothing else",
			field: func(s *Settings) parse.Value { return parse.Path(s.file("postgres.url")) }},
		{path: "postgres.insecure", standard: "false", help: "allow a server on another machine without sslmode=verify-full, so without proof of its identity",
			field: func(s *Settings) parse.Value { return parse.OnOff(&s.Backend.Postgres.Insecure) }},
		{path: "postgres.retention", standard: "168h", help: "how long messages that all groups have read are kept, or forever",
			field: func(s *Settings) parse.Value { return parse.Retention(&s.Backend.Postgres.Retention) }},
	}
}
