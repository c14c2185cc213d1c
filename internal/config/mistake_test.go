package config

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// loadError is what Load says is wrong, with files called by their names alone.
func loadError(tb testing.TB, in Input, file string) string {
	tb.Helper()
	_, err := shop.Load(in)
	if err == nil {
		return ""
	}
	var m Mistakes
	if !errors.As(err, &m) {
		tb.Fatalf("error %T", err)
	}
	return strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", "")
}

// Everything that is wrong is said at once, in whatever source it is and whatever counts over it, each with its place and with
// what is wanted.
func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	file := MustWrite(t,
		"modules: [order, paymnet, order]",
		"jounal: shop.db",
		"http: 8080",
		"brokers: h:1",
		"kafka:",
		"  partition: 3",
		"  replication: many",
		"  sasl_user: ada",
		"  tls: maybe",
		"  compression:",
		"  compression: gzip",
		"seed:",
		"latency: [1s]",
		"peers: {order: 'http://u:hunter2@h', stock: 'http://h'}",
		"peers: {}",
		"postgres: yes",
		"zzz: 1",
	)
	got := loadError(t, Input{
		Flags:   MustFlags(t, "--config", file, "--transport", "pigeon", "--latency", "-1s", "--kafka-partitions=0"),
		Environ: []string{"TROUPE_SEED=-1", "TROUPE_MODULS=order", "TROUPE_POSTGRES_URL=mysql://ada:hunter2@h/d", "TROUPE_KAFKA_TLS_CA=ca.pem"},
	}, file)
	want := `23 mistakes in the settings:
  troupe.yaml:2: unknown key jounal: did you mean journal?
  troupe.yaml:4: unknown key brokers: did you mean kafka.brokers?
  troupe.yaml:6: unknown key kafka.partition: did you mean kafka.partitions?
  troupe.yaml:8: unknown key kafka.sasl_user: did you mean kafka.sasl-user?
  troupe.yaml:10: kafka.compression has no value: give it one, or remove the line
  troupe.yaml:11: compression is there already, in line 10: remove one of them
  troupe.yaml:12: seed has no value: give it one, or remove the line
  troupe.yaml:13: latency has the wrong shape: want TIME
  troupe.yaml:15: peers is there already, in line 14: remove one of them
  troupe.yaml:16: postgres is a plain value or a list: want keys with values
  troupe.yaml:17: unknown key zzz: known here are name, modules, journal, http, hosts, peers, transport, prefix, create-topics, kafka, postgres, seed, latency, deployables
  TROUPE_MODULS: no setting has this variable: did you mean TROUPE_MODULES?
  troupe.yaml:3: http "8080": want host:port, such as 127.0.0.1:8080
  troupe.yaml:14: peers: want a URL for each module, such as MODULE=http://10.0.0.1:8080, without a user or password
  --transport: "pigeon": want one of sqlite, kafka, postgres
  --kafka-partitions: "0": want a whole number from 1 to 10000
  troupe.yaml:7: kafka.replication "many": want a whole number from -1 to 32767
  troupe.yaml:9: kafka.tls "maybe": want true or false
  TROUPE_POSTGRES_URL: want a URL, postgres://user:password@host:5432/database
  TROUPE_SEED: "-1": want a whole number of 0 or more
  --latency: "-1s": want a time of 0 or more, such as 40ms, 5s or 168h
  troupe.yaml:1: there is no module "paymnet": did you mean payment? there are inventory, notification, order, payment, shipping
  troupe.yaml:1: modules has order twice`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	kafka := []string{"--transport", "kafka", "--brokers", "h:1"}
	file := MustWrite(t, "transport: kafka", "kafka: {brokers: 'h:1'}")
	several := MustWrite(t, "name: x", "transport: kafka", "deployables:", "  front: {modules: [ordr]}", "  back: {http: nowhere}")
	for _, c := range []struct {
		name  string
		args  []string
		env   string
		wants string // all lines but the first, or "" for none
	}{
		{"nothing", nil, "", ""},
		{"kafka", kafka, "", ""},
		{"kafka without brokers", kafka[:2], "", "--transport: transport kafka needs to know where Kafka is: set kafka.brokers in the file, TROUPE_KAFKA_BROKERS or --brokers"},
		{"brokers without kafka", kafka[2:], "",
			"--brokers: kafka.brokers is for transport kafka, but transport is sqlite: set transport in the file, TROUPE_TRANSPORT or --transport to kafka, or leave it out"},
		{"brokers of a file, and no transport on the command line", []string{"--config", file, "--transport", "sqlite"}, "", ""},
		{"brokers on the command line, and another transport in a variable", kafka[2:], "TROUPE_TRANSPORT=sqlite",
			"--brokers: kafka.brokers is for transport kafka, but transport is sqlite: set transport in the file, TROUPE_TRANSPORT or --transport to kafka, or leave it out"},
		{"postgres without a URL", []string{"--transport", "postgres"}, "",
			"--transport: transport postgres needs to know where Postgres is: set postgres.url or postgres.url-file in the file, or TROUPE_POSTGRES_URL"},
		{"a URL without postgres", nil, "TROUPE_POSTGRES_URL=postgres://u:hunter2@h/d",
			"TROUPE_POSTGRES_URL: postgres.url is for transport postgres, but transport is sqlite: set transport in the file, TROUPE_TRANSPORT or --transport to postgres, or leave it out"},
		{"modules without a transport", []string{"--modules", "order,payment"}, "",
			"--modules: modules leaves out inventory, notification, shipping, and there is no transport to them: set transport in the file, TROUPE_TRANSPORT or --transport to kafka or postgres, or run all"},
		{"all modules by name", []string{"--modules", "order,payment,inventory,shipping,notification"}, "", ""},
		{"all, and one by name", []string{"--modules", "all,order"}, "", `--modules: "all,order": want all alone, or names of modules without it`},
		{"unknown peer", []string{"--peers", "pay=http://h"}, "", "--peers: there is no module \"pay\": there are inventory, notification, order, payment, shipping"},
		{"certificate without key", append(kafka, "--kafka-tls", "--kafka-tls-cert=c"), "", "--kafka-tls-cert: kafka.tls-cert needs kafka.tls-key beside it"},
		{"key without certificate", append(kafka, "--kafka-tls", "--kafka-tls-key=c"), "", "--kafka-tls-key: kafka.tls-key needs kafka.tls-cert beside it"},
		{"certificates without TLS", append(kafka, "--kafka-tls-ca=c"), "",
			"--kafka-tls-ca: kafka.tls-ca does nothing without kafka.tls: set kafka.tls in the file, TROUPE_KAFKA_TLS or --kafka-tls, or leave it out"},
		{"mechanism without a user", append(kafka, "--kafka-sasl-mechanism=PLAIN"), "TROUPE_KAFKA_SASL_PASSWORD=hunter2",
			"--kafka-sasl-mechanism: a login with PLAIN needs a user: set kafka.sasl-user in the file, TROUPE_KAFKA_SASL_USER or --kafka-sasl-user"},
		{"mechanism without a password", append(kafka, "--kafka-sasl-mechanism=PLAIN", "--kafka-sasl-user=ada"), "",
			"--kafka-sasl-mechanism: a login with PLAIN needs a password: set kafka.sasl-password or kafka.sasl-password-file in the file, or TROUPE_KAFKA_SASL_PASSWORD"},
		{"password without a mechanism", kafka, "TROUPE_KAFKA_SASL_PASSWORD=hunter2",
			"TROUPE_KAFKA_SASL_PASSWORD: kafka.sasl-password does nothing without kafka.sasl-mechanism: set kafka.sasl-mechanism in the file, TROUPE_KAFKA_SASL_MECHANISM or --kafka-sasl-mechanism, or leave it out"},
		{"secret in a file that is not there", append(kafka, "--kafka-sasl-mechanism=PLAIN", "--kafka-sasl-user=ada", "--kafka-sasl-password-file=/nowhere"), "",
			"--kafka-sasl-password-file: kafka.sasl-password-file /nowhere: open /nowhere: no such file or directory"},
		{"secret twice", []string{"--config", MustWrite(t, "transport: postgres", "postgres:", "  url: postgres://u:hunter2@h/d", "  url-file: /nowhere")}, "",
			"troupe.yaml:4: postgres.url-file is given, and postgres.url at troupe.yaml:3, too: remove one of them"},
		{"secret in a variable over one in a file", []string{"--config", MustWrite(t, "transport: postgres", "postgres: {url-file: /nowhere}")}, "TROUPE_POSTGRES_URL=postgres://u:hunter2@localhost/d", ""},
		{"no such file", []string{"--config", "/nowhere.yaml"}, "", "--config: /nowhere.yaml: there is no such file"},
		{"no such file, by a variable", nil, "TROUPE_CONFIG=/nowhere.yaml", "TROUPE_CONFIG: /nowhere.yaml: there is no such file"},
		{"a deployable without a file", []string{"--deployable=x"}, "", "--deployable: there is no deployable \"x\" to choose: it takes a file that has deployables"},
		{"a tab", []string{"--config", MustWrite(t, "http: x", "kafka:", "\tbrokers: b")}, "", "--config: troupe.yaml: line 3: a tab indents: use spaces"},
		{"none of several", []string{"--config", several, "--http=x"}, "", "troupe.yaml:1: name cannot be shared: each of deployables is called by its key\n" +
			"  troupe.yaml:4: there is no module \"ordr\": did you mean order? there are inventory, notification, order, payment, shipping\n" +
			"  troupe.yaml:5: http \"nowhere\": want host:port, such as 127.0.0.1:8080\n" +
			"  troupe.yaml: describes deployables: choose front, back with --deployable or TROUPE_DEPLOYABLE\n" +
			"  --http: \"x\": want host:port, such as 127.0.0.1:8080"},
		{"another of several", []string{"--config", file, "--deployable", "frnt"}, "TROUPE_CONFIG=" + several, "--deployable: there is no deployable \"frnt\" to choose: it takes a file that has deployables"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := loadError(t, Input{Folder: t.TempDir(), Flags: MustFlags(t, c.args...), Environ: []string{c.env}}, file)
			text = regexp.MustCompile(`/\S*/troupe.yaml`).ReplaceAllString(text, "troupe.yaml")
			_, got, _ := strings.Cut(text, "\n  ")
			if got != c.wants {
				t.Errorf("got\n%s\nwant\n%s", got, c.wants)
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, wants string }{
		"empty":              {"", ""},
		"comments":           {"# nothing\n", ""},
		"empty groups":       {"kafka:\n", ""},
		"aliases":            {"modules: &m [order]\npeers: {order: &u 'http://h', payment: *u}\ntransport: kafka\nkafka: {brokers: 'h:1'}\n", ""},
		"syntax":             {"a: [\n", "troupe.yaml: line 1"},
		"a list":             {"- a\n", "troupe.yaml:1: the file is a plain value"},
		"two documents":      {"seed: 1\n---\nseed: 2\n", "more than one YAML document"},
		"an alias of itself": {"kafka: &k\n  tls: *k\n", "troupe.yaml:2: kafka.tls has the wrong shape"},
		"a binary":           {"\x00\x01", "control characters"},
		"lists of lists":     {"modules: [[order]]\n", "troupe.yaml:1: modules has the wrong shape: want MODULE,..."},
		"no deployables":     {"deployables: {}\n", "has none"},
		"nested deployables": {"deployables: {a: {deployables: {b: {}}}}\n", "unknown key deployables"},
		"merge keys":         {"a: &a {seed: 1}\n<<: *a\n", "unknown key <<"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := MustWrite(t, strings.TrimSuffix(c.text, "\n"))
			if got := loadError(t, Input{Flags: MustFlags(t, "--config", file)}, file); (c.wants == "") != (got == "") || !strings.Contains(got, c.wants) {
				t.Errorf("got %q, want %q", got, c.wants)
			}
		})
	}
}
