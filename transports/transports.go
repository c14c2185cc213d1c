// Package transports selects the transport that carries events between deployables. Only this package names all
// transports.
//
// A new transport gets its own package below transports, passes wiretest.Transport, and is added here.
//
// Package transports is a promise: no minor version breaks a program that uses the package.
package transports

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/kafka"
	"github.com/troupebus/troupe/transports/postgres"
)

// The kinds of transports.
const (
	SQLite   = "sqlite" // no transport: a single deployable runs all modules on its journal
	Kafka    = "kafka"
	Postgres = "postgres"
)

// Kinds returns all kinds.
func Kinds() []string { return []string{SQLite, Kafka, Postgres} }

// Config selects and configures a transport. The zero value selects none.
type Config struct {
	// Kind is one of Kinds. Defaults to SQLite.
	Kind string
	// Group is the name under which the positions of this deployable are stored: the same name in every run, and unique
	// among the journals. Group replaces Kafka.Group or Postgres.Group. Defaults to the replaced field.
	Group string
	// Kafka is the configuration for Kind Kafka.
	Kafka kafka.Config
	// Postgres is the configuration for Kind Postgres.
	Postgres postgres.Config
	// Logger receives the messages for operators. Logger replaces the Logger of Kafka or Postgres.
	// Defaults to the replaced field.
	Logger *slog.Logger
}

// Validate returns all mistakes in c, joined. Fields that Kind does not use are not checked.
func (c Config) Validate() error {
	c = c.handedDown()
	switch c.Kind {
	case "", SQLite:
		return nil
	case Kafka:
		return c.Kafka.Validate()
	case Postgres:
		return c.Postgres.Validate()
	}
	return fmt.Errorf("field Kind is %q: want one of %s", c.Kind, strings.Join(Kinds(), ", "))
}

// String returns a short description of c, without secrets.
func (c Config) String() string {
	c = c.handedDown()
	switch c.Kind {
	case Kafka:
		return c.Kafka.String()
	case Postgres:
		return c.Postgres.String()
	}
	return SQLite
}

// LogValue implements slog.LogValuer with String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Open returns the transport that c describes, or nil for no transport. Kafka or PostgreSQL may be unreachable. The
// caller closes the transport after the bus has stopped and before the journal is closed.
func Open(c Config) (bus.Transport, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("invalid config: %w", err)
	}
	c = c.handedDown()
	// Each constructor returns its own type, and a nil pointer would not be a nil bus.Transport.
	switch c.Kind {
	case Kafka:
		return opened(kafka.New(c.Kafka))
	case Postgres:
		return opened(postgres.New(c.Postgres))
	}
	return nil, nil
}

// opened converts a transport to a bus.Transport, which is nil when there is an error.
func opened[T bus.Transport](t T, err error) (bus.Transport, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

// handedDown copies the common fields to the configuration of each transport.
func (c Config) handedDown() Config {
	if c.Group != "" {
		c.Kafka.Group, c.Postgres.Group = c.Group, c.Group
	}
	if c.Logger != nil {
		c.Kafka.Logger, c.Postgres.Logger = c.Logger, c.Logger
	}
	return c
}
