// Package work does the work that package bench compares: the flow of five reactions on each side, and the measurement
// inside of a worker process. Package bench starts the workers and reports their figures.
package work

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/troupebus/troupe/internal/pause"
)

// Job is the task of a worker. Zero fields are left out, or mean no limit.
type Job struct {
	Worker   string        `json:"worker"`
	Journal  string        `json:"journal,omitempty"`   // path of the file, which may exist
	Flows    int64         `json:"flows,omitempty"`     // flows or events to measure; a tenth as many run before as a warm-up
	InFlight int           `json:"in_flight,omitempty"` // limit on the flows in flight
	Group    int           `json:"group,omitempty"`     // reactions in a commit of bare SQLite
	Pause    time.Duration `json:"pause_ns,omitempty"`  // pause between single flows, or time without work
	Brokers  string        `json:"brokers,omitempty"`   // addresses of Kafka, separated by commas
	Prefix   string        `json:"prefix,omitempty"`    // prefix of the topics and groups of this job alone
	Across   int           `json:"across,omitempty"`    // number of reactions with an event from the other deployable
	Control  string        `json:"control,omitempty"`   // address at which a service announces itself, see service
}

// Figures are the measurements of a worker, by name.
type Figures map[string]float64

// Names of figures.
const (
	FlowsPerSecond  = "flows_per_second"
	EventsPerSecond = "events_per_second"
	P50             = "p50_ms"
	P99             = "p99_ms"
	Busy            = "busy_percent" // of a core
	Opened          = "open_seconds"
	Resident        = "resident_mb"
	Peak            = "resident_peak_mb"
)

// Get returns a figure, or an error if the figure is missing or not a positive finite number.
func (f Figures) Get(name string) (float64, error) {
	v, ok := f[name]
	if !ok || v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("measured no %s (%v)", name, v)
	}
	return v, nil
}

var workers = map[string]func(context.Context, Job) (Figures, error){
	"troupe":    workTroupe,
	"gochannel": workGoChannel,
	"sqlite":    workBare,
	"latency":   workLatency,
	"idle":      workIdle,
	"open":      workOpen,
	"grow":      workGrow,

	"broker":            workBroker,
	"kafka":             workSplit,
	"kafka-latency":     workSplitLatency,
	"kafka-peer":        workPeer,
	"watermill":         workStraight,
	"watermill-latency": workStraightLatency,
	"relay":             workRelay,
	"send":              workSend,
	"ingest":            workIngest,
	"publish":           workPublish,
}

// Run runs j in this process, and then checks that no event or row was lost. The journal stays.
func Run(ctx context.Context, j Job) (Figures, error) {
	work := workers[j.Worker]
	if work == nil {
		return nil, fmt.Errorf("bench: unknown worker %q: want one of %q", j.Worker, slices.Sorted(maps.Keys(workers)))
	}
	f, err := work(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("bench: worker %s: %w", j.Worker, err)
	}
	return f, nil
}

// warmUp returns the flows before the measurement.
func (j Job) warmUp() load { return load{first: 0, n: max(1, j.Flows/10)} }

func (j Job) measured() load { return load{first: j.warmUp().n, n: j.Flows} }

func (j Job) all() int64 { return j.warmUp().n + j.Flows }

// timed runs the warm-up and the flows of j, and returns the rate as the named figure.
func (j Job) timed(ctx context.Context, figure string,
	flows func(context.Context, load) (time.Duration, error)) (Figures, error) {
	if _, err := flows(ctx, j.warmUp()); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	took, err := flows(ctx, j.measured())
	if err != nil {
		return nil, err
	}
	return Figures{figure: float64(j.Flows) / took.Seconds()}, nil
}

// latencies runs the warm-up and the flows of j, a single flow at a time.
func (j Job) latencies(ctx context.Context, one func(context.Context, int64) (time.Duration, error)) (Figures, error) {
	var took []time.Duration
	for i := range j.all() {
		if err := stay(ctx, j.Pause); err != nil {
			return nil, err
		}
		d, err := one(ctx, i)
		if err != nil {
			return nil, err
		}
		if i >= j.warmUp().n {
			took = append(took, d)
		}
	}
	return Figures{P50: Milliseconds(Percentile(took, 50)), P99: Milliseconds(Percentile(took, 99))}, nil
}

func workTroupe(ctx context.Context, j Job) (f Figures, err error) {
	p, err := start(ctx, j.Journal, j.InFlight)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	before, err := end(ctx, j.Journal)
	if err != nil {
		return nil, err
	}
	if f, err = j.timed(ctx, FlowsPerSecond, p.flows); err != nil {
		return nil, err
	}
	if f[Resident], f[Peak], err = residentMB(); err != nil {
		return nil, err
	}
	return f, before.expect(ctx, j.Journal, j.all())
}

func workBare(ctx context.Context, j Job) (Figures, error) {
	p, err := start(ctx, j.Journal, 0) // start creates the tables
	if err == nil {
		err = p.close()
	}
	if err != nil {
		return nil, fmt.Errorf("create the tables: %w", err)
	}
	b, err := openBare(j.Journal, j.Group)
	if err != nil {
		return nil, err
	}
	f, err := j.timed(ctx, FlowsPerSecond, b.flows)
	if err = errors.Join(err, b.close()); err != nil {
		return nil, err
	}
	return f, new(position).expect(ctx, j.Journal, j.all())
}

func workLatency(ctx context.Context, j Job) (f Figures, err error) {
	p, err := start(ctx, j.Journal, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if f, err = j.latencies(ctx, p.one); err != nil {
		return nil, err
	}
	return f, new(position).expect(ctx, j.Journal, j.all())
}

func workIdle(ctx context.Context, j Job) (f Figures, err error) {
	p, err := start(ctx, j.Journal, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if _, err := p.flows(ctx, load{n: max(1, j.Flows)}); err != nil { // an idle process has worked before
		return nil, err
	}
	before, err := processorTime()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := stay(ctx, j.Pause); err != nil {
		return nil, err
	}
	after, err := processorTime()
	if err != nil {
		return nil, err
	}
	return Figures{Busy: 100 * (after - before).Seconds() / time.Since(started).Seconds()}, nil
}

func workOpen(ctx context.Context, j Job) (f Figures, err error) {
	started := time.Now()
	p, err := start(ctx, j.Journal, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if _, err := p.one(ctx, 0); err != nil {
		return nil, err
	}
	return Figures{Opened: time.Since(started).Seconds()}, nil
}

// workGrow fills a journal through the bus.
func workGrow(ctx context.Context, j Job) (f Figures, err error) {
	p, err := start(ctx, j.Journal, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	took, err := p.flows(ctx, load{n: j.Flows})
	if err != nil {
		return nil, err
	}
	if err := new(position).expect(ctx, j.Journal, j.Flows); err != nil {
		return nil, err
	}
	wrong, err := p.journal.Reader().Check(ctx)
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("the check of the journal failed: %s", wrong[0])
	}
	return Figures{FlowsPerSecond: float64(j.Flows) / took.Seconds()}, err
}

// stay waits for d. It returns the error of ctx when ctx ends.
func stay(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	if !pause.For(ctx, d) {
		return ctx.Err()
	}
	return nil
}
