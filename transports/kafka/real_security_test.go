package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/kafka"
)

const password = "cor rect-h0rse"

// acl is a right to everything whose name begins so.
type acl struct {
	kind sarama.AclResourceType
	name string
	to   sarama.AclOperation
}

var (
	read      = acl{sarama.AclResourceTopic, "shop.", sarama.AclOperationRead}
	write     = acl{sarama.AclResourceTopic, "shop.", sarama.AclOperationWrite}
	create    = acl{sarama.AclResourceTopic, "shop.", sarama.AclOperationCreate}
	positions = acl{sarama.AclResourceGroup, "front", sarama.AclOperationRead}
	lag       = acl{sarama.AclResourceGroup, "front", sarama.AclOperationDescribe}
)

// rights are those of the users. joe's are what docs/deployables.md asks for.
var rights = map[string][]acl{
	"joe":       {read, write, create, positions},
	"CN=client": {read, write, create, positions},
	"nobody":    {},
	"no-create": {read, write, positions},
	"no-read":   {write, create, positions},
	"no-write":  {read, create, positions},
	"no-group":  {read, write, create},
	"no-commit": {read, write, create, lag},
}

// secured is a real Kafka that wants to know who one is.
type secured struct {
	*servers.SecuredKafka
	tls    kafka.TLS // that trusts it
	mutual kafka.TLS // and shows a certificate
}

// MustSecure starts one that knows the users of rights.
func MustSecure(t *testing.T) secured {
	t.Helper()
	servers.Kafka(t) // for its own broker it needs what that one does
	_, ca, key := certificate(t, "broker")
	_, clientCert, clientKey := certificate(t, "client")
	keys := filepath.Join(t.TempDir(), "keys.pem")
	if err := os.WriteFile(keys, append(MustRead(t, key), MustRead(t, ca)...), 0o600); err != nil {
		t.Fatal(err)
	}
	users := map[string]string{}
	for user := range rights {
		if !strings.Contains(user, "=") {
			users[user] = password
		}
	}
	s := secured{SecuredKafka: servers.OwnSecuredKafka(t, servers.Security{KeyFile: keys, CAFile: clientCert, Users: users})}
	s.tls = kafka.TLS{Enabled: true, CAFile: ca}
	s.mutual = kafka.TLS{Enabled: true, CAFile: ca, CertFile: clientCert, KeyFile: clientKey}
	admin := MustAdmin(t, []string{s.Address})
	defer admin.Close()
	var granted []*sarama.ResourceAcls
	for user, acls := range rights {
		for _, a := range acls {
			granted = append(granted, &sarama.ResourceAcls{
				Resource: sarama.Resource{ResourceType: a.kind, ResourceName: a.name, ResourcePatternType: sarama.AclPatternPrefixed},
				Acls:     []*sarama.Acl{{Principal: "User:" + user, Host: "*", Operation: a.to, PermissionType: sarama.AclPermissionAllow}},
			})
		}
	}
	if err := admin.CreateACLs(granted); err != nil {
		t.Fatal(err)
	}
	return s
}

func MustRead(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// way is how somebody comes to a broker.
type way struct {
	name, address string
	tls           kafka.TLS
	sasl          kafka.SASL
}

// config is for a way, with topics that nobody else uses.
func (w way) config() kafka.Config {
	cfg := alone([]string{w.address})
	cfg.Prefix, cfg.Group = "shop."+cfg.Prefix, "front-"+cfg.Group
	cfg.TLS, cfg.SASL, cfg.Timeout = w.tls, w.sasl, 10*time.Second
	return cfg
}

// TestRealSecurity shows a real Kafka's TLS, logins and rights: what works, and what is said about what does not. Not parallel: it counts
// goroutines.
func TestRealSecurity(t *testing.T) {
	s := MustSecure(t)
	t.Run("ways in", s.waysIn)
	before := runtime.NumGoroutine()
	t.Run("mistakes", s.mistakes)
	t.Run("rights", s.rights)
	settled(t, before)
}

func login(mechanism string) kafka.SASL {
	return kafka.SASL{Mechanism: mechanism, User: "joe", Password: password}
}

// waysIn are used for longer than the broker lets a login be: it has to be renewed under way.
func (s secured) waysIn(t *testing.T) {
	for _, w := range []way{
		{"PLAIN", s.Login, s.tls, login("PLAIN")},
		{"SCRAM-SHA-256", s.Login, s.tls, login("SCRAM-SHA-256")},
		{"SCRAM-SHA-512", s.Login, s.tls, login("SCRAM-SHA-512")},
		{"SCRAM-SHA-512 without TLS", s.OpenLogin, kafka.TLS{}, login("SCRAM-SHA-512")},
		{"certificate", s.Mutual, s.mutual, kafka.SASL{}},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			tr := MustTransport(t, w.config())
			const messages = 40
			sent := make(chan error, 1)
			go func() {
				for n := range messages {
					if err := insist(tr, numbered("k", n, n+1)); err != nil {
						sent <- err
						return
					}
					stay(2 * servers.LoginLasts / messages)
				}
				sent <- nil
			}()
			if err := persist(t.Context(), tr, messages); err != nil {
				t.Error(err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

// mistakes are those of who sets a deployable up.
func (s secured) mistakes(t *testing.T) {
	_, otherCert, otherKey := certificate(t, "other")
	wrong, unknown := func(mechanism string) kafka.SASL {
		l := login(mechanism)
		l.Password += "!"
		return l
	}, login("SCRAM-SHA-512")
	unknown.User = "jim"
	elsewhere, stranger := s.tls, s.mutual
	elsewhere.ServerName = "elsewhere"
	stranger.CertFile, stranger.KeyFile = otherCert, otherKey
	const (
		notLetIn   = "refuses the login of user joe: check SASL.Mechanism, SASL.User and SASL.Password"
		notTrusted = "is not trusted: set TLS.CAFile to the CA that signed it, and TLS.ServerName"
		breaksOff  = "aborts TLS: it probably requires a certificate of this client"
		noLogin    = "accepts no login: use the port of a listener with SASL, or clear SASL"
	)
	for _, m := range []struct {
		way
		says string
	}{
		{way{"wrong password, PLAIN", s.Login, s.tls, wrong("PLAIN")}, notLetIn},
		{way{"wrong password, SCRAM-SHA-256", s.Login, s.tls, wrong("SCRAM-SHA-256")}, notLetIn},
		{way{"wrong password, SCRAM-SHA-512", s.Login, s.tls, wrong("SCRAM-SHA-512")}, notLetIn},
		{way{"wrong password without TLS", s.OpenLogin, kafka.TLS{}, wrong("SCRAM-SHA-512")}, notLetIn},
		{way{"unknown user", s.Login, s.tls, unknown}, "refuses the login of user jim"},
		{way{"mechanism that is not offered", s.OpenLogin, kafka.TLS{}, login("SCRAM-SHA-256")}, "does not support SASL mechanism SCRAM-SHA-256"},
		{way{"login where there is none", s.Address, kafka.TLS{}, login("PLAIN")}, noLogin},
		{way{"login where certificates are", s.Mutual, s.mutual, login("PLAIN")}, noLogin},
		{way{"no login", s.Login, s.tls, kafka.SASL{}}, "expects TLS (true) and login (none)"},
		{way{"another CA", s.Login, kafka.TLS{Enabled: true, CAFile: otherCert}, login("PLAIN")}, notTrusted},
		{way{"the system's CAs", s.Login, kafka.TLS{Enabled: true}, login("PLAIN")}, notTrusted},
		{way{"another name", s.Login, elsewhere, login("PLAIN")}, notTrusted},
		{way{"TLS where there is none", s.Address, s.tls, kafka.SASL{}}, "closes the connection: if this goes on, check that its listener expects TLS (true)"},
		{way{"TLS and login where no TLS is", s.OpenLogin, s.tls, login("SCRAM-SHA-512")}, "expects TLS (true) and login (SCRAM-SHA-512 as joe)"},
		{way{"no TLS where there is", s.Login, kafka.TLS{}, login("PLAIN")}, "closes the connection: if this goes on, check that its listener expects TLS (false)"},
		{way{"no certificate", s.Mutual, s.tls, kafka.SASL{}}, breaksOff},
		{way{"certificate of a stranger", s.Mutual, stranger, kafka.SASL{}}, breaksOff},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.expect(t, m.says, m.says)
		})
	}
}

// rights that are missing are asked for by name.
func (s secured) rights(t *testing.T) {
	const topic, group = "shop.$prefix.order", "may not commit offsets: grant READ on all groups whose names begin with front-"
	for user, says := range map[string]struct{ publish, subscribe string }{
		"nobody":    {"user nobody is not authorized: grant WRITE on topic " + topic, "user nobody is not authorized: grant READ on topic " + topic},
		"no-create": {"user no-create may not create it: grant CREATE on topic " + topic + ", or create it with kafka-topics.sh", "grant CREATE on topic " + topic},
		"no-read":   {"", "grant READ on topic " + topic},
		"no-write":  {"grant WRITE on topic " + topic, ""},
		"no-group":  {"", group},
		"no-commit": {"", group},
	} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			w := way{user, s.Login, s.tls, kafka.SASL{Mechanism: "SCRAM-SHA-512", User: user, Password: password}}
			w.expect(t, says.publish, says.subscribe)
			if says.publish == "" {
				w.expectNoClaim(t)
			}
		})
	}
}

// expectNoClaim expects one who sends, and may not see who else does, to be told what right that takes.
func (w way) expectNoClaim(t *testing.T) {
	t.Helper()
	cfg := w.config()
	tr := MustTransport(t, cfg)
	err := tr.Features().Claim(t.Context(), "_records", &memory{id: "j"})
	says := tr.Features().Warnings()["_records"]
	if err == nil || !strings.Contains(err.Error(), "grant READ on ") || !strings.Contains(says, "READ on topic "+cfg.Prefix+"._records, and on all groups whose names begin with "+cfg.Group) {
		t.Errorf("a claim says %v, and warns %q", err, says)
	}
}

// expect expects Publish and Subscribe to say something, or to work where that is empty: soon, after few requests, and without the
// password.
func (w way) expect(t *testing.T, publish, subscribe string) {
	t.Helper()
	var log bytes.Buffer
	var requests atomic.Int64
	cfg := w.config()
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		return counted{c, &requests}, err
	}
	tr := MustTransport(t, cfg)
	for what, do := range map[string]struct {
		says string
		do   func() error
	}{
		"Publish":   {publish, func() error { return tr.Publish("order", numbered("k", 0, 1)...) }},
		"Subscribe": {subscribe, func() error { _, err := tr.Subscribe(t.Context(), "order"); return err }},
	} {
		requests.Store(0)
		began := time.Now()
		err := do.do()
		took := time.Since(began)
		says := strings.ReplaceAll(do.says, "shop.$prefix", cfg.Prefix)
		switch {
		case (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says):
			t.Errorf("%s: want an error with %q, got: %v", what, says, err)
		case err != nil && strings.Contains(err.Error(), password):
			t.Errorf("%s tells the password: %v", what, err)
		case took > 20*time.Second || requests.Load() > 50:
			t.Errorf("%s took %v, and wrote %d times: %v", what, took, requests.Load(), err)
		}
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), password) {
		t.Errorf("the password is in the log: %s", &log)
	}
}

// counted counts what is written to it.
type counted struct {
	net.Conn
	writes *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}
