package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupebus/troupe/internal/bench/work"
)

// MustBroker starts a broker in this process, and returns its address.
func MustBroker(tb testing.TB) string {
	tb.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

// MustBeTidy fails the test if the broker has topics or groups of a bench.
func MustBeTidy(tb testing.TB, broker string) {
	tb.Helper()
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	admin, err := sarama.NewClusterAdmin(strings.Split(broker, ","), c)
	if err != nil {
		tb.Fatal(err)
	}
	topics, err := admin.ListTopics()
	groups, err2 := admin.ListConsumerGroups()
	if err := errors.Join(err, err2, admin.Close()); err != nil {
		tb.Fatal(err)
	}
	for name := range topics {
		if !strings.HasPrefix(name, "_") { // a topic of Kafka itself
			tb.Errorf("topic %s is left", name)
		}
	}
	if len(groups) > 0 {
		tb.Errorf("groups are left: %v", groups)
	}
}

func TestRunOverKafka(t *testing.T) {
	t.Parallel()
	for _, brokers := range [][]string{nil, {MustBroker(t)}} {
		var told []string
		r := MustRun(t, Options{
			Start: work.Run, Transport: "kafka", Brokers: brokers, Flows: 20, Rounds: 1, Progress: func(line string) { told = append(told, line) },
		})
		if want := 3 + 2 + 2 + 3*latencyRuns; len(r.Rows) != 8 || len(r.Figures) != 9 || len(told) != want {
			t.Errorf("%d rows, %d figures, and told %d lines, want %d: %q", len(r.Rows), len(r.Figures), len(told), want, told)
		}
		if want := "kfake"; brokers == nil && !strings.Contains(r.Broker, want) || brokers != nil && !strings.Contains(r.Broker, brokers[0]) {
			t.Errorf("broker %q", r.Broker)
		}
		if brokers != nil {
			MustBeTidy(t, brokers[0])
		}
	}
}

// overKafka answers like script, and announces the peer.
func (s *script) overKafka(ctx context.Context, j work.Job) (work.Figures, error) {
	if j.Worker == "kafka-peer" {
		err := j.Announce(ctx, "")
		if j.Worker == s.fail { // the check at the end finds a loss
			err = errScript
		}
		return work.Figures{}, err
	}
	j.Prefix, j.Brokers = "", ""
	return s.start(ctx, j)
}

func TestKafkaTargets(t *testing.T) {
	t.Parallel()
	broker := MustBroker(t)
	s := &script{}
	r := MustRun(t, Options{Start: s.overKafka, Transport: "kafka", Brokers: []string{broker}, Flows: 90, Rounds: 3})
	want := []struct {
		name  string
		value float64
		met   string
	}{
		{"2 of 5 hops across ÷ straight", 0.9, "≥ 1 false"},
		{"4 of 5", 0.9, ""},
		{"relay", 0.6, "≥ 0.5 true"},
		{"ingest", 1.2, "≥ 1 true"},
		{"2 of 5 hops across, until it is on disk, p50", 8, "≤ 8 true"},
		{"2 of 5 hops across, until it is on disk, p99", 80, ""},
		{"4 of 5 hops across, until it is on disk, p50", 8, "≤ 8 true"},
		{"4 of 5 hops across, until it is on disk, p99", 80, ""},
	}
	if len(r.Rows) != len(want) {
		t.Fatalf("rows %+v", r.Rows)
	}
	for i, row := range r.Rows {
		met := ""
		if row.Met != nil {
			met = fmt.Sprint(row.Target, " ", *row.Met)
		}
		if !strings.Contains(row.Name, want[i].name) || math.Abs(row.Value-want[i].value) > 1e-9 || met != want[i].met {
			t.Errorf("row %d is %+v, %q, want %+v", i, row, met, want[i])
		}
	}
	if j := (work.Job{Worker: "relay", Flows: 90 * 6}); !slices.Contains(s.jobs, j) {
		t.Errorf("no job %+v", j)
	}
}

func TestWorkerThatFailsOverKafka(t *testing.T) {
	t.Parallel()
	broker := MustBroker(t)
	for _, name := range []string{"kafka", "kafka-peer", "watermill", "relay", "send", "ingest", "publish", "kafka-latency", "watermill-latency"} {
		o := Options{Transport: "kafka", Brokers: []string{broker}, Folder: t.TempDir(), Flows: 1, Rounds: 1}
		o.Start = (&script{fail: name}).overKafka
		if r, err := Run(t.Context(), o); !errors.Is(err, errScript) || r != nil {
			t.Errorf("%s fails: %+v, %v", name, r, err)
		}
		MustBeEmpty(t, o.Folder)
		if name == "kafka-peer" { // the worker has no figures
			continue
		}
		o.Start = (&script{mute: name}).overKafka
		if r, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "measured no") {
			t.Errorf("%s measures nothing: %+v, %v", name, r, err)
		}
		MustBeEmpty(t, o.Folder)
	}
	MustBeTidy(t, broker)
}

// The run must not wait forever for a deployable that is gone.
func TestServiceThatFails(t *testing.T) {
	t.Parallel()
	broker := MustBroker(t)
	for _, service := range []string{"broker", "kafka-peer"} {
		for _, announced := range []bool{true, false} {
			waited := make(chan struct{})
			start := func(ctx context.Context, j work.Job) (work.Figures, error) {
				switch {
				case j.Worker == service && announced:
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					go func() {
						<-waited
						cancel()
					}()
					return nil, errors.Join(errScript, j.Announce(ctx, broker))
				case j.Worker == service:
					return nil, errScript
				case j.Worker == "broker":
					return work.Figures{}, j.Announce(ctx, broker)
				case j.Worker == "kafka-peer":
					return work.Figures{}, j.Announce(ctx, "")
				}
				close(waited)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			_, err := Run(t.Context(), Options{Start: start, Transport: "kafka", Run: []string{"flows"}, Folder: t.TempDir()})
			if !errors.Is(err, errScript) {
				t.Errorf("%s fails, announced %t: %v", service, announced, err)
			}
		}
	}
}

func TestServiceInAProcess(t *testing.T) {
	t.Parallel()
	s, err := serve(t.Context(), Process("bench-worker", "real"), work.Job{Worker: "broker"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := work.Connect(s.address)
	if err == nil {
		err = c.Close()
	}
	if err := errors.Join(err, s.stop()); err != nil {
		t.Error(err)
	}
	if c, err := work.Connect(s.address); err == nil {
		t.Error("it is still there")
		_ = c.Close()
	}
}

func TestKafkaThatIsNotThere(t *testing.T) {
	t.Parallel()
	start := func(context.Context, work.Job) (work.Figures, error) { return nil, errScript }
	_, err := Run(t.Context(), Options{Start: start, Transport: "kafka", Brokers: []string{"127.0.0.1:1"}, Folder: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "check that Kafka runs") {
		t.Errorf("got %v", err)
	}
}
