package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports"
	"github.com/troupebus/troupe/transports/kafka"
	"github.com/troupebus/troupe/transports/postgres"
	"github.com/troupebus/troupe/transports/sqlite"
)

// wiring has the modules of this process and the address of the backend.
type wiring struct {
	modules, brokers, database, prefix, through string
}

func (w *wiring) flags(flags *flag.FlagSet) {
	flags.StringVar(&w.modules, "modules", "", "modules of this process (default all)")
	flags.StringVar(&w.brokers, "brokers", "", "bootstrap address of Kafka")
	flags.StringVar(&w.database, "database", "", "URL of PostgreSQL")
	flags.StringVar(&w.prefix, "prefix", "troupe", "prefix of topics or tables")
	flags.StringVar(&w.through, "through", "", "address of the network of the torture test")
}

func (w *wiring) chosen() []string {
	if w.modules == "" {
		return nil
	}
	return strings.Split(w.modules, ",")
}

// open returns the transport, or nil where all modules run here.
func (w *wiring) open(j *sqlite.Journal, logger *slog.Logger) (bus.Transport, error) {
	c := transports.Config{
		Group: fmt.Sprintf("%s-%.8s", strings.ReplaceAll(w.modules, ",", "-"), j.ID()), Logger: logger,
		Kafka:    kafka.Config{Brokers: []string{w.brokers}, Prefix: w.prefix, Dial: w.dial},
		Postgres: postgres.Config{URL: w.database, Prefix: w.prefix, Dial: w.dial},
	}
	switch {
	case w.brokers != "":
		c.Kind = transports.Kafka
	case w.database != "":
		c.Kind = transports.Postgres
	}
	return transports.Open(c)
}

// dial connects through the network of the torture test.
func (w *wiring) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, kind, w.through)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(c, address); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
