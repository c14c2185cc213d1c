package parity

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/internal/shop/shoptest"
	"github.com/troupebus/troupe/transports/kafka"
	"github.com/troupebus/troupe/transports/postgres"
)

// shape is a way to run a system.
type shape struct {
	name        string
	deployables func(modules []string) [][]string
	realTime    bool
	// backend prepares the backend of a test, and returns a function that connects a deployable to it. Without a server,
	// backend skips the test with the reason.
	backend func(t *testing.T) func(group string) (bus.Transport, error)
}

// The shapes beside the first shape, a single process on SQLite.
var shapes = []shape{
	{name: "five in memory", deployables: each, backend: memory},
	{name: "one with Kafka", deployables: together, realTime: true, backend: inProcessKafka},
	{name: "five over Kafka", deployables: each, realTime: true, backend: inProcessKafka},
	{name: "one with the real Kafka", deployables: together, realTime: true, backend: realKafka},
	{name: "five over the real Kafka", deployables: each, realTime: true, backend: realKafka},
	{name: "five over Postgres", deployables: each, realTime: true, backend: realPostgres},
}

func together(modules []string) [][]string { return [][]string{modules} }

func each(modules []string) (all [][]string) {
	for _, m := range modules {
		all = append(all, []string{m})
	}
	return all
}

// memory creates its broker at the first use, inside of the test's bubble.
func memory(*testing.T) func(string) (bus.Transport, error) {
	broker := sync.OnceValue(wiretest.NewBroker)
	return func(group string) (bus.Transport, error) { return broker().Transport(group), nil }
}

func inProcessKafka(t *testing.T) func(string) (bus.Transport, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return overKafka(t, cluster.ListenAddrs())
}

func realKafka(t *testing.T) func(string) (bus.Transport, error) {
	return overKafka(t, []string{servers.Kafka(t)})
}

func overKafka(t *testing.T, brokers []string) func(string) (bus.Transport, error) {
	prefix := fmt.Sprintf("parity-%x", time.Now().UnixNano())
	return func(group string) (bus.Transport, error) {
		return kafka.New(kafka.Config{Brokers: brokers, Group: prefix + "-" + group, Prefix: prefix, Partitions: 3})
	}
}

func realPostgres(t *testing.T) func(string) (bus.Transport, error) {
	url := servers.Postgres(t)
	return func(group string) (bus.Transport, error) {
		return postgres.New(postgres.Config{URL: url, Group: group})
	}
}

// timing is the same in every shape: a hanging call is cut off soon, and a failed attempt is retried soon, but late
// enough for an event of another deployable to come first.
var timing = bus.Config{
	ExternalTimeout: 2 * time.Second,
	Retry:           sooner,
	ExternalRetry:   sooner,
}

var sooner = bus.Retry{Attempts: 4, First: 200 * time.Millisecond, Factor: 1.5, Jitter: -1}

// modules are the shop's modules.
var modules = shoptest.One[0]

// tables returns every row of the modules' tables as text.
func tables(ctx context.Context, of func(module string) bus.SQL, modules []string) (string, error) {
	var out strings.Builder
	for _, m := range modules {
		names, err := strs(ctx, of(m), "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB ? ORDER BY name", m+"_*")
		if err != nil {
			return "", err
		}
		for _, name := range names {
			columns, err := strs(ctx, of(m), "SELECT 'quote(' || name || ')' FROM pragma_table_info(?) ORDER BY cid", name)
			if err != nil {
				return "", err
			}
			rows, err := strs(ctx, of(m), "SELECT "+strings.Join(columns, " || ' ' || ")+" AS r FROM "+name+" ORDER BY r")
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&out, "%s\n  %s\n", name, strings.Join(rows, "\n  "))
		}
	}
	return out.String(), nil
}

func strs(ctx context.Context, tx bus.SQL, query string, args ...any) (found []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, rows.Err()
}
