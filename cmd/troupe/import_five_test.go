package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/internal/shop/books"
	"github.com/troupebus/troupe/internal/shop/shoptest"
	"github.com/troupebus/troupe/transports/kafka"
)

// Real invoices end with the same books in five deployables and in one.
func TestAnImportEndsTheSameInFiveDeployables(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "..", "shared", "data", "online-retail-2010-12-01.csv")
	f, err := readInvoices(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the data set's sample is not there: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	enter := func(t *testing.T, sys bustest.System[shoptest.Shop]) (report books.Report) {
		sys.Config.Retry = bus.Retry{First: 10 * time.Millisecond}
		sys.Config.ExternalRetry = sys.Config.Retry
		verify := sys.Verify
		sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, w *bustest.World) ([]string, error) {
			var err error
			if report, err = books.VerifyAcross(ctx, tables, true); err != nil {
				return nil, err
			}
			return verify(ctx, tables, w)
		}
		bustest.Run(t, sys, func(app *bustest.App[shoptest.Shop]) {
			s := app.S()
			quiet := func(context.Context) error { app.Quiet(); return nil }
			if _, err := newImporter(path, 20, f).enterAll(app.Context(), desk{s.Orders, s.Stock, quiet}); err != nil {
				t.Fatal(err)
			}
		})
		return report
	}
	want := enter(t, shoptest.System())
	if !want.OK || want.Orders < 100 || want.Completed == 0 || want.Cancelled == 0 || want.Returned == 0 {
		t.Fatalf("in one process: %+v", want)
	}
	over := func(address string) func(group string) (bus.Transport, error) {
		prefix := fmt.Sprintf("import-%x", time.Now().UnixNano())
		return func(group string) (bus.Transport, error) {
			return kafka.New(kafka.Config{Brokers: []string{address}, Group: prefix + group, Prefix: prefix})
		}
	}
	for name, address := range map[string]func(t *testing.T) string{
		"Kafka": func(t *testing.T) string {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			return cluster.ListenAddrs()[0]
		},
		"the real Kafka": func(t *testing.T) string { return servers.Kafka(t) },
	} {
		t.Run("five over "+name, func(t *testing.T) {
			t.Parallel()
			sys := shoptest.Spread(shoptest.Five, over(address(t)))
			sys.RealTime = true
			if got := enter(t, sys); !reflect.DeepEqual(got, want) {
				t.Errorf("the books are %+v, want %+v", got, want)
			}
		})
	}
}
