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

// Config describes a Kafka cluster, and how to use it. Only Brokers and Group are required.
type Config struct {
	// Brokers are the addresses, host:port, of some brokers. They name the other brokers of the cluster. Required.
	Brokers []string

	// Group is the name under which the positions in all topics are stored, as a consumer group's offsets. Each deployable
	// has its own. When two processes read under the same name, the older process stops (wire.ErrReplaced). Required.
	Group string

	// Prefix begins the names of topics: a topic is called Prefix, a dot, and the module's name. Defaults to "troupe".
	Prefix string

	// ClientID is the name of this client in the brokers' logs and quotas. Defaults to "troupe".
	ClientID string

	// Partitions is the number of partitions of a topic that this transport creates. Defaults to 6.
	Partitions int32

	// Replication is the number of replicas of a topic that this transport creates. Defaults to -1, the broker's default.
	Replication int16

	// NoCreate disables the creation of topics: a missing topic is an error. Defaults to false.
	NoCreate bool

	// Compression is the codec of published messages: "none", "gzip", "snappy", "lz4" or "zstd". Defaults to "lz4".
	Compression string

	// TLS encrypts the connections. Defaults to no encryption.
	TLS TLS

	// SASL logs in. Defaults to no login.
	SASL SASL

	// Timeout is how long Publish tries before it gives up. Defaults to 10 s.
	Timeout time.Duration

	// Window is how many messages of a partition may be delivered and not yet acknowledged. With 1, each message waits
	// until the previous one is acknowledged, as with plain Watermill subscribers. Defaults to 4096.
	Window int

	// Refresh is the time between two looks for added partitions. Defaults to 30 s.
	Refresh time.Duration

	// Dial connects to a broker, below TLS. Defaults to net.Dialer.DialContext.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Logger receives the messages for operators. Defaults to slog.Default.
	Logger *slog.Logger

	patience time.Duration // how long a problem may last before a subscription ends; for tests
	rest     time.Duration // how long a producer without messages keeps its connections; for tests
}

// TLS configures the encryption of connections.
type TLS struct {
	// Enabled enables TLS. Defaults to false.
	Enabled bool

	// CAFile is a PEM file of trusted CA certificates. Defaults to the system's.
	CAFile string

	// CertFile and KeyFile are PEM files of the client's certificate and key, which brokers may require. Default to none.
	CertFile, KeyFile string

	// ServerName is the name in the broker's certificate. Defaults to the host of the address.
	ServerName string
}

// SASL is a login. A SASL value prints without its password.
type SASL struct {
	// Mechanism is "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512". Defaults to none.
	Mechanism string

	// User and Password are the credentials.
	User, Password string

	// Readable lets PLAIN, which does not hide the password, log in without TLS to brokers on other machines. Everybody on
	// the network between can read the password. Defaults to false.
	Readable bool
}

// String returns s without its password.
func (s SASL) String() string {
	if s.Mechanism == "" {
		return "none"
	}
	return s.Mechanism + " as " + s.User
}

// GoString returns s without its password.
func (s SASL) GoString() string { return s.String() }

// MarshalText returns s without its password, which keeps the password out of JSON.
func (s SASL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns a short description of c, without secrets.
func (c Config) String() string {
	c = c.withDefaults()
	return fmt.Sprintf("kafka at %v, topics %s.*, group %s, TLS %t, login %v", c.Brokers, c.Prefix, c.Group, c.TLS.Enabled, c.SASL)
}

// LogValue implements slog.LogValuer with String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// legalTopic matches legal names of topics, apart from their length.
var legalTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Validate returns all mistakes in c, joined.
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
		wrong("Group is empty: want the name of this deployable")
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
		if err := c.checkExposed(b); err != nil {
			errs = append(errs, err)
			break
		}
	}
	return errors.Join(append(errs, c.TLS.validate(), c.SASL.validate())...)
}

// checkExposed returns an error when a login at address would send the password readable over the network.
func (c Config) checkExposed(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil || c.SASL.Mechanism != sarama.SASLTypePlaintext || c.TLS.Enabled || c.SASL.Readable {
		return nil
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("field SASL.Mechanism is PLAIN without TLS, and %s is not on this machine: others on the network could read the password: "+
		"enable TLS, use SCRAM-SHA-512, or set SASL.Readable (kafka.sasl-readable) if you trust the network", address)
}

func (s TLS) validate() error {
	switch {
	case !s.Enabled && s != TLS{}:
		return errors.New("field TLS.Enabled is false, but other fields of TLS are set: enable TLS, or clear these fields")
	case (s.CertFile == "") != (s.KeyFile == ""):
		return errors.New("fields TLS.CertFile and TLS.KeyFile go together: set both or none")
	}
	return nil
}

func (s SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" || s.Readable {
			return errors.New("field SASL.Mechanism is empty, but a user or password is set: want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
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
	setDefault(&c.Prefix, "troupe")
	setDefault(&c.ClientID, "troupe")
	setDefault(&c.Partitions, 6)
	setDefault(&c.Replication, -1)
	setDefault(&c.Compression, "lz4")
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.Window, 4096)
	setDefault(&c.Refresh, 30*time.Second)
	setDefault(&c.Logger, slog.Default())
	setDefault(&c.patience, 3*time.Second)
	setDefault(&c.rest, time.Minute)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c
}

// setDefault sets a field that is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
