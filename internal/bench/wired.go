package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/troupebus/troupe/internal/bench/work"
)

// KafkaSections are the sections of Run with the transport "kafka", in order.
var KafkaSections = []string{"flows", "relay", "ingest", "latency"}

// wired runs jobs that need Kafka.
type wired struct {
	*runner
	brokers string
	cluster *work.Cluster
	bare    Start
}

// overKafka measures all sections with the transport "kafka".
func (r *runner) overKafka(ctx context.Context) (err error) {
	w := &wired{runner: r, brokers: strings.Join(r.Brokers, ","), bare: r.Start}
	r.report.Broker = "Kafka at " + w.brokers
	if w.brokers == "" {
		r.report.Broker = "a stand-in for Kafka (kfake) in a process of its own, which keeps all data in memory"
		var broker *service
		if broker, err = serve(ctx, r.Start, work.Job{Worker: "broker"}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, broker.stop()) }()
		ctx, w.brokers = broker, broker.address
	}
	if w.cluster, err = work.Connect(w.brokers); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, w.cluster.Close()) }()
	r.Start = w.start
	for _, section := range []func(context.Context) error{w.flows, w.relay, w.ingest, w.latency} {
		if err := section(ctx); err != nil {
			return err
		}
	}
	return nil
}

// start is a Start that gives each job topics and groups of its own, and runs the other deployable of a job with two.
func (w *wired) start(ctx context.Context, j work.Job) (f work.Figures, err error) {
	j.Brokers, j.Prefix = w.brokers, "troupe-bench-"+strings.ToLower(rand.Text())
	defer func() {
		if e := w.cluster.Remove(j); e != nil {
			err = errors.Join(err, fmt.Errorf("bench: clean up after worker %s: %w", j.Worker, e))
		}
	}()
	if err := w.cluster.Prepare(ctx, j); err != nil {
		return nil, fmt.Errorf("bench: prepare Kafka for worker %s: %w", j.Worker, err)
	}
	if j.Across > 0 {
		other := j
		other.Worker = "kafka-peer"
		var peer *service
		if peer, err = serve(ctx, w.bare, other); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, peer.stop()) }()
		ctx = peer
	}
	return w.bare(ctx, j)
}

// events returns the number of events in the flows of a run.
func (w *wired) events() int64 { return w.Flows * (work.Reactions + 1) }

func across(n int) string { return fmt.Sprintf("%d of %d hops across", n, work.Reactions) }

func (w *wired) flows(ctx context.Context) error {
	if !w.runs("flows") {
		return nil
	}
	straight := side{"straight on watermill-kafka", work.Job{Worker: "watermill"}}
	troupe := func(n int) side { return side{"Troupe, " + across(n), work.Job{Worker: "kafka", Across: n}} }
	_, err := w.compete(ctx, w.Rounds, perFlow, []contest{
		{"Troupe in two deployables over Kafka, " + across(2) + " ÷ straight on watermill-kafka, which keeps nothing", troupe(2), straight, atLeast(1)},
		{"the same, " + across(4), troupe(4), straight, noGoal},
	})
	return err
}

func (w *wired) relay(ctx context.Context) error {
	if !w.runs("relay") {
		return nil
	}
	_, err := w.compete(ctx, w.Rounds, perEvent, []contest{{
		fmt.Sprintf("relay alone ÷ sarama's SendMessages in batches of %d", work.SendBatch),
		side{"relay", work.Job{Worker: "relay", Flows: w.events()}}, side{"SendMessages", work.Job{Worker: "send", Flows: w.events()}}, atLeast(0.5),
	}})
	return err
}

func (w *wired) ingest(ctx context.Context) error {
	if !w.runs("ingest") {
		return nil
	}
	_, err := w.compete(ctx, w.Rounds, perEvent, []contest{{
		fmt.Sprintf("ingest alone ÷ single publishes from %d publishers, each on disk when it returns", work.Publishers),
		side{"ingest", work.Job{Worker: "ingest", Flows: w.events()}}, side{"single publishes", work.Job{Worker: "publish", Flows: w.events()}}, atLeast(1),
	}})
	return err
}

func (w *wired) latency(ctx context.Context) error {
	if !w.runs("latency") {
		return nil
	}
	flows := max(1, w.Flows/50)
	for _, n := range []int{2, 4} {
		name := "idle flow of five reactions in two deployables, " + across(n) + ", until it is on disk"
		measured, err := w.repeat(ctx, latencyRuns, name, work.Job{Worker: "kafka-latency", Across: n, Flows: flows})
		if err != nil {
			return err
		}
		if err := w.report.measured(name+", p50", "ms", measured, work.P50, atMost(8)); err != nil {
			return err
		}
		if err := w.report.measured(name+", p99", "ms", measured, work.P99, noGoal); err != nil {
			return err
		}
	}
	const name = "idle flow straight on watermill-kafka, which keeps nothing"
	measured, err := w.repeat(ctx, latencyRuns, name, work.Job{Worker: "watermill-latency", Flows: flows})
	if err != nil {
		return err
	}
	for _, figure := range []string{work.P50, work.P99} {
		values, err := all(measured, figure)
		if err != nil {
			return fmt.Errorf("bench: %s: %w", name, err)
		}
		w.report.figure(name+", "+figure[:3], "ms", values)
	}
	return nil
}
