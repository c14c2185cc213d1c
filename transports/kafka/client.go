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

// protocol is the newest version of Kafka's protocol that is spoken; sarama agrees with each broker on what both know.
var protocol = sarama.V3_6_0_0

// client is a sarama client whose connections can be cut.
type client struct {
	sarama.Client
	ctx context.Context // of its connections
	cut context.CancelFunc
}

// isCut reports whether c is of no more use.
func (c *client) isCut() bool { return c.ctx.Err() != nil }

// connect makes a client that lives until it is closed. It does not connect yet.
func (t *Transport) connect() (*client, error) {
	ctx, cut := context.WithCancel(context.Background())
	c, err := sarama.NewClient(t.cfg.Brokers, t.sarama(ctx, nil))
	if err != nil {
		cut()
		return nil, err
	}
	return &client{c, ctx, cut}, nil
}

// until cuts c when ctx ends. The function that it returns calls that off, and reports whether it was in time.
func (c *client) until(ctx context.Context) (stop func() bool) { return context.AfterFunc(ctx, c.cut) }

// hanging is how long a call on a client that others use, too, may go on when its context has ended, before it is cut.
const hanging = 100 * time.Millisecond

// unless cuts c, which others use, too, when ctx has ended and stop was not called a moment later: only a call that hangs needs that.
func (c *client) unless(ctx context.Context) (stop func()) {
	stopped, away := context.WithCancel(context.Background())
	unlink := context.AfterFunc(ctx, func() {
		if pause.For(stopped, hanging) {
			c.cut()
		}
	})
	return func() {
		unlink()
		away()
	}
}

// close cuts c's connections first, as sarama's Close would wait for what is on them.
func (c *client) close() {
	c.cut()
	for _, b := range c.Brokers() {
		_ = b.Close() // says only that it was not connected
	}
	_ = c.Close() // of a second close
}

// refresh has c ask who leads topic. Where no broker will tell, sarama keeps to itself that it is for a login that they do not
// offer, or want.
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
		_, why := b.Connected() // when the login is over
		_ = b.Close()           // says only that it was not connected
		if why != nil {
			return sarama.Wrap(sarama.ErrOutOfBrokers, why)
		}
	}
	return err
}

// sarama is the configuration of a client whose connections end with ctx, and give fetched what it fetches.
func (t *Transport) sarama(ctx context.Context, fetched func(*answer)) *sarama.Config {
	cfg, s := &t.cfg, sarama.NewConfig()
	s.ClientID, s.Version = cfg.ClientID, protocol
	s.Net.ReadTimeout = t.patience() + longPoll
	s.Net.WriteTimeout = s.Net.ReadTimeout
	s.Net.Proxy.Enable = true
	s.Net.Proxy.Dialer = &link{ctx: ctx, wait: cfg.patience, dial: cfg.Dial, tls: t.tls, fetched: fetched, exposes: cfg.exposes}
	if cfg.SASL.Mechanism != "" {
		s.Net.SASL.Enable = true
		s.Net.SASL.Mechanism = sarama.SASLMechanism(cfg.SASL.Mechanism)
		s.Net.SASL.User, s.Net.SASL.Password = cfg.SASL.User, cfg.SASL.Password
		s.Net.SASL.SCRAMClientGeneratorFunc = newScram(cfg.SASL.Mechanism)
	}
	s.Metadata.Full = false // only the topics that are used
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.Retry.Max = 0 // tried again here, where there is a context
	s.Metadata.RefreshFrequency = cfg.Refresh
	s.Admin.Timeout = t.patience()
	s.Admin.Retry.Max = 2
	return s
}

// config reads what s names.
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
