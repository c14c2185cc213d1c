package kafka_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/kafka"
)

func TestValidateJoinsAllMistakes(t *testing.T) {
	t.Parallel()
	err := kafka.Config{
		Brokers: []string{"localhost"}, Prefix: "a b", Partitions: -1, Replication: -2, Compression: "rar", Timeout: -1, Window: -1, Refresh: -1,
		TLS: kafka.TLS{CertFile: "x"}, SASL: kafka.SASL{Mechanism: "KERBEROS"},
	}.Validate()
	for _, field := range []string{
		"Brokers", "Group", "Prefix", "Partitions", "Replication", "Compression", "Timeout", "Window", "Refresh", "TLS", "SASL.Mechanism",
	} {
		if err == nil || !strings.Contains(err.Error(), "field "+field) {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	if _, err := kafka.New(kafka.Config{}); err == nil {
		t.Error("New takes a config without brokers")
	}
	for _, cfg := range []kafka.Config{
		{SASL: kafka.SASL{User: "u"}}, {SASL: kafka.SASL{Mechanism: "PLAIN", User: "u"}},
		{TLS: kafka.TLS{Enabled: true, KeyFile: "k"}}, {TLS: kafka.TLS{Enabled: true, CAFile: "missing.pem"}},
		{TLS: kafka.TLS{Enabled: true, CAFile: "config_test.go"}},
	} {
		cfg.Brokers, cfg.Group = []string{"127.0.0.1:1"}, "g"
		if _, err := kafka.New(cfg); err == nil {
			t.Errorf("New takes %+v", cfg)
		}
	}
}

func TestConfigPrintsWithoutPassword(t *testing.T) {
	t.Parallel()
	cfg := kafka.Config{Brokers: []string{"b:1"}, Group: "g", SASL: kafka.SASL{Mechanism: "PLAIN", User: "joe", Password: "s3cret", Readable: true}}
	var logged strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Info("x", "config", cfg, "sasl", cfg.SASL)
	}
	text, _ := json.Marshal(cfg.SASL)
	inside := struct{ C kafka.Config }{cfg}
	all := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %s %s", cfg, cfg, cfg, cfg, inside, inside, inside, text, logged.String())
	if strings.Contains(all, "s3cret") {
		t.Errorf("the password is in: %s", all)
	}
	if !strings.Contains(all, "joe") {
		t.Errorf("the user is not in: %s", all)
	}
}

// TestPasswordsAreNotShown: PLAIN without TLS is for brokers on this machine, and for who says so.
func TestPasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	plain := kafka.SASL{Mechanism: "PLAIN", User: "u", Password: "p"}
	for _, c := range []struct {
		broker string
		change func(*kafka.Config)
		ok     bool
	}{
		{"127.0.0.1:1", nil, true}, {"localhost:1", nil, true}, {"[::1]:1", nil, true},
		{"10.0.0.1:1", nil, false}, {"localhost.example.com:1", nil, false}, {"[2001:db8::1]:1", nil, false},
		{"10.0.0.1:1", func(c *kafka.Config) { c.TLS.Enabled = true }, true},
		{"10.0.0.1:1", func(c *kafka.Config) { c.SASL.Readable = true }, true},
		{"10.0.0.1:1", func(c *kafka.Config) { c.SASL.Mechanism = "SCRAM-SHA-512" }, true},
	} {
		cfg := kafka.Config{Brokers: []string{c.broker}, Group: "g", SASL: plain}
		if c.change != nil {
			c.change(&cfg)
		}
		if err := cfg.Validate(); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "could read the password") {
			t.Errorf("%s with %v: %v", c.broker, cfg.SASL, err)
		}
	}
}
