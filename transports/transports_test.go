package transports

import (
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/kafka"
	"github.com/troupebus/troupe/transports/postgres"
)

// complete are configs that open, one of each kind. Nobody is at the other end.
var complete = map[string]Config{
	SQLite:   {Kind: SQLite},
	Kafka:    {Kind: Kafka, Group: "g-kafka", Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}, SASL: kafka.SASL{Mechanism: "PLAIN", User: "ada", Password: "hunter2"}}},
	Postgres: {Kind: Postgres, Group: "g-postgres", Postgres: postgres.Config{URL: "postgres://ada:hunter2@127.0.0.1:1/shop"}},
}

func TestOpenEveryKind(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		c, ok := complete[kind]
		if !ok {
			t.Errorf("there is no config for %s: add one", kind)
			continue
		}
		carrier, err := Open(c)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if kind == SQLite {
			if carrier != nil {
				t.Errorf("%s is a transport: %v", kind, carrier)
			}
			continue
		}
		if got := carrier.Features().Name; got != kind {
			t.Errorf("%s is %s", kind, got)
		}
		if err := carrier.Close(); err != nil {
			t.Errorf("%s: close: %v", kind, err)
		}
	}
}

func TestTheZeroValueIsNoTransport(t *testing.T) {
	t.Parallel()
	if carrier, err := Open(Config{}); carrier != nil || err != nil {
		t.Errorf("Open = %v, %v", carrier, err)
	}
}

// A nil of some type in an interface is not nil: who asks whether there is a transport would be told that there is.
func TestWhatIsWrongOpensNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config Config
		wants  string
	}{
		"unknown kind": {Config{Kind: "carrier pigeon"}, "sqlite, kafka, postgres"},
		"no brokers":   {Config{Kind: Kafka, Group: "g"}, "Brokers"},
		"no group":     {Config{Kind: Kafka, Kafka: kafka.Config{Brokers: []string{"h:1"}}}, "Group"},
		"no file":      {Config{Kind: Kafka, Group: "g", Kafka: kafka.Config{Brokers: []string{"h:1"}, TLS: kafka.TLS{Enabled: true, CAFile: "/nowhere"}}}, "/nowhere"},
		"no URL":       {Config{Kind: Postgres, Group: "g"}, "URL"},
	} {
		if carrier, err := Open(c.config); carrier != nil || err == nil || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: Open = %v, %v, want nil and %q", name, carrier, err, c.wants)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	for kind, c := range complete {
		if text := c.String() + c.LogValue().String(); strings.Contains(text, "hunter2") || text == "" {
			t.Errorf("%s prints %q", kind, text)
		}
	}
	for kind, where := range map[string]string{Kafka: "127.0.0.1:1", Postgres: "127.0.0.1:1/shop"} {
		if text := complete[kind].String(); !strings.Contains(text, where) || !strings.Contains(text, "g-"+kind) {
			t.Errorf("%s does not say where or who: %q", kind, text)
		}
	}
}
