package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/IBM/sarama"
)

// Config says which Kafka, under which name, and how. With Brokers and Group set, the zero value of the rest works.
type Config struct {
	// Brokers are the addresses, host:port, at which the cluster is asked for the rest of itself. Required.
	Brokers []string

	// Group is the name under which the place in every topic is kept, as a consumer group's offsets; each deployable has its
	// own. Of two processes that read under one name, the older one ends (wire.ErrReplaced). Required.
	Group string

	// Prefix and a dot stand before a module's name to make its topic. Defaults to "troupe".
	Prefix string

	// ClientID is the name by which the brokers log and limit this client. Defaults to "troupe".
	ClientID string

	// Partitions is how many partitions a topic gets that is made here. Defaults to 6.
	Partitions int32

	// Replication is on how many brokers each of them is kept. Defaults to -1, the broker's own default.
	Replication int16

	// NoCreate leaves it to somebody else to make topics: one that is missing is an error. Defaults to false.
	NoCreate bool

	// Compression of what is published is "none", "gzip", "snappy", "lz4" or "zstd". Defaults to "lz4".
	Compression string

	// TLS encrypts the connections. Defaults to none.
	TLS TLS

	// SASL logs in. Defaults to no login.
	SASL SASL

	// Timeout is how long a Publish is tried before it gives up. Defaults to 10 s.
	Timeout time.Duration

	// Window is how many messages of one partition may be delivered and not yet acknowledged. With 1, none is delivered
	// before the last one is acknowledged, as plain Watermill subscribers are used to. Defaults to 4096.
	Window int

	// Refresh is how often a topic is looked at for partitions that were added. Defaults to 30 s.
	Refresh time.Duration

	// Dial connects to a broker, below TLS. Defaults to a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Logger takes what an operator should hear of. Defaults to slog.Default.
	Logger *slog.Logger

	patience time.Duration // how long trouble may last before a subscription ends; for tests
	rest     time.Duration // how long a producer may rest before its connections are closed; for tests
}

// TLS says how connections are encrypted.
type TLS struct {
	// Enabled turns it on. Defaults to false.
	Enabled bool

	// CAFile holds, as PEM, the certificates of those who may vouch for a broker. Defaults to the system's.
	CAFile string

	// CertFile and KeyFile hold, as PEM, the certificate by which the brokers know this client. Defaults to none.
	CertFile, KeyFile string

	// ServerName is the name that a broker must prove to have. Defaults to the host that was connected to.
	ServerName string
}

// SASL is a login. It prints without its password.
type SASL struct {
	// Mechanism is "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512". Defaults to none.
	Mechanism string

	// User and Password are what the mechanism asks for.
	User, Password string

	// Readable lets PLAIN send the password, which it does not hide, without TLS to brokers that are not on this machine: everybody on
	// the way can read it. Defaults to false.
	Readable bool
}

// String is s without its password.
func (s SASL) String() string {
	if s.Mechanism == "" {
		return "none"
	}
	return s.Mechanism + " as " + s.User
}

// GoString is s without its password.
func (s SASL) GoString() string { return s.String() }

// MarshalText is s without its password, which keeps it out of JSON.
func (s SASL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is c in short, without secrets.
func (c Config) String() string {
	c = c.withDefaults()
	return fmt.Sprintf("kafka at %v, topics %s.*, group %s, TLS %t, login %v", c.Brokers, c.Prefix, c.Group, c.TLS.Enabled, c.SASL)
}

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// legalTopic is what Kafka takes as a topic's name, but for its length.
var legalTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Validate joins everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("field "+format, args...)) }
	if len(c.Brokers) == 0 {
		wrong("Brokers is empty: want at least one host:port")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			wrong("Brokers has %q: want host:port", b)
		}
	}
	if c.Group == "" {
		wrong("Group is empty: want the name under which this deployable's place is kept")
	}
	if c.Prefix != "" && !legalTopic.MatchString(c.Prefix) {
		wrong("Prefix is %q: want letters, digits, '.', '_' and '-'", c.Prefix)
	}
	if c.Partitions < 0 {
		wrong("Partitions is %d: want 0 for the default, or more", c.Partitions)
	}
	if c.Replication < -1 {
		wrong("Replication is %d: want -1 or 0 for the broker's default, or more", c.Replication)
	}
	if _, ok := codecs[c.withDefaults().Compression]; !ok {
		wrong("Compression is %q: want none, gzip, snappy, lz4 or zstd", c.Compression)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Timeout", c.Timeout}, {"Refresh", c.Refresh}} {
		if d.value < 0 {
			wrong("%s is %v: want 0 for the default, or more", d.name, d.value)
		}
	}
	if c.Window < 0 {
		wrong("Window is %d: want 0 for the default, or more", c.Window)
	}
	for _, b := range c.Brokers {
		if err := c.exposes(b); err != nil {
			errs = append(errs, err)
			break
		}
	}
	return errors.Join(append(errs, c.TLS.validate(), c.SASL.validate())...)
}

// exposes is an error where a login at address would show the password to everybody on the way.
func (c Config) exposes(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil || c.SASL.Mechanism != sarama.SASLTypePlaintext || c.TLS.Enabled || c.SASL.Readable {
		return nil
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("field SASL.Mechanism is PLAIN, without TLS, and %s is not on this machine: everybody on the way could read the password: "+
		"enable TLS, or use SCRAM-SHA-512, or set SASL.Readable (kafka.sasl-readable) if nobody else is on the way", address)
}

func (s TLS) validate() error {
	switch {
	case !s.Enabled && s != TLS{}:
		return errors.New("field TLS.Enabled is false, and other fields of TLS are set: enable it, or clear them")
	case (s.CertFile == "") != (s.KeyFile == ""):
		return errors.New("fields TLS.CertFile and TLS.KeyFile go together: set both or none")
	}
	return nil
}

func (s SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" || s.Readable {
			return errors.New("field SASL.Mechanism is empty, and a user or password is set: want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
		}
	case sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512:
		if s.User == "" || s.Password == "" {
			return fmt.Errorf("fields SASL.User and SASL.Password: want both for %s", s.Mechanism)
		}
	default:
		return fmt.Errorf("field SASL.Mechanism is %q: want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
	}
	return nil
}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func (c Config) withDefaults() Config {
	or(&c.Prefix, "troupe")
	or(&c.ClientID, "troupe")
	or(&c.Partitions, 6)
	or(&c.Replication, -1)
	or(&c.Compression, "lz4")
	or(&c.Timeout, 10*time.Second)
	or(&c.Window, 4096)
	or(&c.Refresh, 30*time.Second)
	or(&c.Logger, slog.Default())
	or(&c.patience, 3*time.Second)
	or(&c.rest, time.Minute)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c
}

// or sets what is not set.
func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
