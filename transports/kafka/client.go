package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/pause"
)

// protocol is the newest version of Kafka's protocol that we speak. Sarama finds a version that the broker knows, too.
var protocol = sarama.V3_6_0_0

// client is a sarama client whose connections can be cut.
type client struct {
	sarama.Client
	ctx context.Context // of the connections
	cut context.CancelFunc
}

// isCut reports whether c was cut, and is of no more use.
func (c *client) isCut() bool { return c.ctx.Err() != nil }

// connect returns a client that lives until it is closed. The client does not connect yet.
func (t *Transport) connect() (*client, error) {
	ctx, cut := context.WithCancel(context.Background())
	c, err := sarama.NewClient(t.cfg.Brokers, t.sarama(ctx, nil))
	if err != nil {
		cut()
		return nil, err
	}
	return &client{c, ctx, cut}, nil
}

// cutWhenDone cuts c when ctx ends. stop calls that off, and reports whether the call was in time.
func (c *client) cutWhenDone(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, c.cut)
}

// hangTime is how long a call on a shared client may go on after the end of its context, before the client is cut.
const hangTime = 100 * time.Millisecond

// cutIfHanging cuts the shared client c when ctx has ended and stop is not called within hangTime.
func (c *client) cutIfHanging(ctx context.Context) (stop func()) {
	stopped, away := context.WithCancel(context.Background())
	unlink := context.AfterFunc(ctx, func() {
		if pause.For(stopped, hangTime) {
			c.cut()
		}
	})
	return func() {
		unlink()
		away()
	}
}

// close cuts the connections first, because sarama's Close waits for their answers.
func (c *client) close() {
	c.cut()
	for _, b := range c.Brokers() {
		_ = b.Close() // fails only where b was not connected
	}
	_ = c.Close() // fails only when closed twice
}

// refresh asks the brokers for the leaders of topic. When all brokers refuse the login, sarama reports only that they
// are out of reach. Then refresh connects to find the reason.
func (t *Transport) refresh(c *client, topic string) error {
	err := c.RefreshMetadata(topic)
	if !errors.Is(err, sarama.ErrOutOfBrokers) || errors.Unwrap(err) != nil {
		return err
	}
	for _, address := range t.cfg.Brokers {
		b := sarama.NewBroker(address)
		if b.Open(c.Config()) != nil {
			continue
		}
		_, why := b.Connected() // returns after the login
		_ = b.Close()           // fails only where b was not connected
		if why != nil {
			return sarama.Wrap(sarama.ErrOutOfBrokers, why)
		}
	}
	return err
}

// sarama returns the configuration of a client. The connections end with ctx, and pass answers to fetches to fetched.
func (t *Transport) sarama(ctx context.Context, fetched func(*answer)) *sarama.Config {
	cfg, s := &t.cfg, sarama.NewConfig()
	s.ClientID, s.Version = cfg.ClientID, protocol
	s.Net.ReadTimeout = t.patience() + longPoll
	s.Net.WriteTimeout = s.Net.ReadTimeout
	s.Net.Proxy.Enable = true
	s.Net.Proxy.Dialer = &dialer{t: t, ctx: ctx, fetched: fetched}
	if cfg.SASL.Mechanism != "" {
		s.Net.SASL.Enable = true
		s.Net.SASL.Mechanism = sarama.SASLMechanism(cfg.SASL.Mechanism)
		s.Net.SASL.User, s.Net.SASL.Password = cfg.SASL.User, cfg.SASL.Password
		s.Net.SASL.SCRAMClientGeneratorFunc = newScram(cfg.SASL.Mechanism)
	}
	s.Metadata.Full = false // only the topics in use
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.Retry.Max = 0 // we retry ourselves, with a context
	s.Metadata.RefreshFrequency = cfg.Refresh
	s.Admin.Timeout = t.patience()
	s.Admin.Retry.Max = 2
	return s
}

// config reads the files of s. Without TLS, it returns nil.
func (s TLS) config() (*tls.Config, error) {
	if !s.Enabled {
		return nil, nil
	}
	c := &tls.Config{ServerName: s.ServerName, MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("field TLS.CAFile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("field TLS.CAFile: %s holds no certificate in PEM", s.CAFile)
		}
	}
	if s.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("fields TLS.CertFile and TLS.KeyFile: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
