package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/troupebus/troupe/transports/kafka"
)

// certificate makes one of name that vouches for itself, and says in which files it is.
func certificate(t *testing.T, name string) (cert tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if cert, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	return cert, certFile, keyFile
}

// works publishes and receives a message.
func works(t *testing.T, cfg kafka.Config) {
	t.Helper()
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 1)...)
	Next(t, MustSubscribe(t, tr, "order")).Ack()
}

// fails expects Publish and Subscribe to say why they cannot.
func fails(t *testing.T, cfg kafka.Config, why string) {
	t.Helper()
	cfg.Timeout = time.Second
	tr := MustTransport(t, cfg.WithPatience(time.Second))
	if err := tr.Publish("order", numbered("k", 0, 1)...); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("Publish: want an error with %q, got: %v", why, err)
	}
	if _, err := tr.Subscribe(context.Background(), "order"); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("Subscribe: want an error with %q, got: %v", why, err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, certFile, keyFile := certificate(t, "broker")
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	c := MustCluster(t, kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
	cfg := config(c.ListenAddrs())
	cfg.TLS = kafka.TLS{Enabled: true, CAFile: certFile, CertFile: certFile, KeyFile: keyFile}
	works(t, cfg)

	cfg.TLS.ServerName = "elsewhere"
	fails(t, cfg, "elsewhere")
	cfg.TLS = kafka.TLS{Enabled: true, CertFile: certFile, KeyFile: keyFile}
	fails(t, cfg, "certificate")
	cfg.TLS = kafka.TLS{Enabled: true, CAFile: certFile}
	fails(t, cfg, "TLS")
	cfg.TLS = kafka.TLS{}
	fails(t, cfg, "expects TLS (false)")
}

func TestSASL(t *testing.T) {
	t.Parallel()
	cert, certFile, _ := certificate(t, "broker")
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			c := MustCluster(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "joe", "s3cret"),
				kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
			cfg := config(c.ListenAddrs())
			cfg.TLS = kafka.TLS{Enabled: true, CAFile: certFile}
			cfg.SASL = kafka.SASL{Mechanism: mechanism, User: "joe", Password: "s3cret"}
			works(t, cfg)

			cfg.SASL.Password = "wrong"
			fails(t, cfg, "login ("+mechanism+" as joe)") // this broker hangs up instead of answering

			c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				res := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
				res.ErrorCode = kerr.SaslAuthenticationFailed.Code
				return res, nil, true
			})
			fails(t, cfg, "check SASL.Mechanism, SASL.User and SASL.Password")
		})
	}
}

// grants are what a user may do, by resource.
func grants(ops map[kmsg.ACLOperation][2]string) []kfake.ACL {
	kinds := map[string]kmsg.ACLResourceType{"topic": kmsg.ACLResourceTypeTopic, "group": kmsg.ACLResourceTypeGroup}
	var acls []kfake.ACL
	for op, on := range ops {
		acls = append(acls, kfake.ACL{
			Resource: kinds[on[0]], Name: on[1], Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true,
		})
	}
	return acls
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const topic = "troupe.order"
	all := map[kmsg.ACLOperation][2]string{kmsg.ACLOperationAll: {"topic", topic}}
	cluster := func(acls ...kfake.ACL) kafka.Config {
		c := MustCluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"),
			kfake.User("PLAIN", "joe", "s3cret", acls...), kfake.SeedTopics(1, "troupe.taken"))
		cfg := config(c.ListenAddrs()).WithPatience(time.Second)
		cfg.Timeout = time.Second
		cfg.SASL = kafka.SASL{Mechanism: "PLAIN", User: "joe", Password: "s3cret"}
		return cfg
	}
	t.Run("nothing granted", func(t *testing.T) { fails(t, cluster(), "user joe is not authorized") })
	t.Run("may not create", func(t *testing.T) {
		fails(t, cluster(grants(map[kmsg.ACLOperation][2]string{kmsg.ACLOperationWrite: {"topic", topic}})...), "kafka-topics.sh")
	})
	t.Run("no group", func(t *testing.T) {
		tr := MustTransport(t, cluster(grants(all)...))
		MustPublish(t, tr, "order", numbered("k", 0, 1)...)
		if _, err := tr.Subscribe(t.Context(), "order"); err == nil || !strings.Contains(err.Error(), "grant READ on all groups whose names begin with g") {
			t.Errorf("Subscribe without a right to the group: %v", err)
		}
	})
	t.Run("all", func(t *testing.T) {
		works(t, cluster(append(grants(all), grants(map[kmsg.ACLOperation][2]string{kmsg.ACLOperationAll: {"group", "g"}})...)...))
	})
}
