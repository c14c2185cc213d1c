// Package transports is the choice between what can carry events from one deployable to another. It alone names them.
//
// A transport is added in a package of its own below this one, passes wiretest.Transport, and gets its lines here.
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
	SQLite   = "sqlite" // none: all modules are in one deployable, on its journal
	Kafka    = "kafka"
	Postgres = "postgres"
)

// Kinds returns all of them.
func Kinds() []string { return []string{SQLite, Kafka, Postgres} }

// Config says which transport, and how. The zero value is no transport.
type Config struct {
	// Kind is one of Kinds. Defaults to SQLite.
	Kind string
	// Group is the name under which this deployable's place in the topics is kept; it counts over that of Kafka or Postgres.
	// It stays the same from run to run, and no other journal's is the same. Defaults to theirs.
	Group string
	// Kafka is for Kind Kafka; see there.
	Kafka kafka.Config
	// Postgres is for Kind Postgres; see there.
	Postgres postgres.Config
	// Logger takes what an operator should hear of; it counts over theirs. Defaults to theirs.
	Logger *slog.Logger
}

// Validate joins everything that is wrong with c, in the fields that its Kind looks at.
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

// String is c in short, without secrets.
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

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Open makes the transport that c describes, or nil where it describes none. Nothing needs to be there yet at the other end. Whoever
// opens it closes it, after the bus has stopped and before the journal is closed.
func Open(c Config) (bus.Transport, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("transports: invalid config: %w", err)
	}
	c = c.handedDown()
	// Each returns its own type: nil of one of them would not be nil as a bus.Transport.
	switch c.Kind {
	case Kafka:
		return opened(kafka.New(c.Kafka))
	case Postgres:
		return opened(postgres.New(c.Postgres))
	}
	return nil, nil
}

// opened makes a transport of any type a bus.Transport, and none of it when there is an error.
func opened[T bus.Transport](t T, err error) (bus.Transport, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

// handedDown gives each transport what it has in common with the others.
func (c Config) handedDown() Config {
	if c.Group != "" {
		c.Kafka.Group, c.Postgres.Group = c.Group, c.Group
	}
	if c.Logger != nil {
		c.Kafka.Logger, c.Postgres.Logger = c.Logger, c.Logger
	}
	return c
}
