package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/internal/bench/work"
)

// Sections are the sections of Run without a transport, in order. Section "grow" runs only if Options asks for it.
var Sections = []string{"gochannel", "sqlite", "latency", "idle", "grow"}

// Options configure Run. The zero value works.
type Options struct {
	// Start runs the workers. Defaults to Process("bench-worker").
	Start Start
	// Transport "kafka" measures the wire between two deployables instead of a journal alone. Defaults to none.
	Transport string
	// Brokers are the addresses, host:port, of the Kafka to use. Run creates topics and groups there, and deletes them.
	// Defaults to a stand-in that is started for the run.
	Brokers []string
	// Run names the sections to measure. Defaults to all but "grow".
	Run []string
	// Grow adds the section "grow", which takes some minutes and 1 GB of disk.
	Grow bool
	// Flows is the number of flows that are timed in each run of a side. Defaults to 15,000.
	Flows int64
	// Rounds is the number of rounds in which the sides take turns. The grown journal has twice as many. Defaults to 5.
	Rounds int
	// Events is the number of events at the start of the grown journal. Defaults to 1,000,000.
	Events int64
	// Idle is the time for which the idle process is measured. Defaults to 10 s.
	Idle time.Duration
	// Folder is an existing folder on the disk to measure. Run deletes its files at the end. Defaults to the current
	// folder.
	Folder string
	// Progress gets a line about each measurement. Defaults to no progress.
	Progress func(line string)
}

// Validate returns all mistakes in o, joined.
func (o Options) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	sections := o.sections()
	switch o.Transport {
	case "kafka":
		if o.Grow {
			wrong("section \"grow\" is measured without a transport")
		}
	case "":
		if len(o.Brokers) > 0 {
			wrong("Brokers are %q without a Transport: want Transport \"kafka\"", o.Brokers)
		}
	default:
		wrong("unknown Transport %q: want \"kafka\", or none", o.Transport)
	}
	for _, b := range o.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			wrong("Brokers has %q: want host:port", b)
		}
	}
	for _, name := range o.Run {
		if !slices.Contains(sections, name) {
			wrong("unknown section %q: want one of %s", name, strings.Join(sections, ", "))
		}
	}
	if o.Flows < 0 || o.Rounds < 0 || o.Events < 0 || o.Idle < 0 {
		wrong("want positive numbers, or 0 for the default: Flows is %d, Rounds %d, Events %d, Idle %v", o.Flows, o.Rounds, o.Events, o.Idle)
	}
	return errors.Join(errs...)
}

// sections returns the sections of o's transport.
func (o Options) sections() []string {
	if o.Transport == "kafka" {
		return KafkaSections
	}
	return Sections
}

func (o Options) withDefaults() Options {
	if o.Start == nil {
		o.Start = Process("bench-worker")
	}
	if len(o.Run) == 0 {
		o.Run = slices.DeleteFunc(slices.Clone(o.sections()), func(name string) bool { return name == "grow" })
	}
	if o.Grow {
		o.Run = append(slices.Clone(o.Run), "grow")
	}
	if o.Flows == 0 {
		o.Flows = 15_000
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Events == 0 {
		o.Events = 1_000_000
	}
	if o.Idle == 0 {
		o.Idle = 10 * time.Second
	}
	if o.Folder == "" {
		o.Folder = "."
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// Run does the measurements of o, a single worker at a time, and reports the results whether the targets are met or
// not. It returns an error if a measurement failed.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	o = o.withDefaults()
	folder, err := os.MkdirTemp(o.Folder, "troupe-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: create a folder for the journals: name an existing folder that can be written: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	r := &runner{Options: o, folder: folder, report: &Report{Flows: o.Flows, Rounds: o.Rounds, Publishers: work.Publishers,
		Reactions: work.Reactions}}
	if r.report.PayloadBytes, err = work.PayloadBytes(); err != nil {
		return nil, err
	}
	if r.report.Machine, err = thisMachine(folder); err != nil {
		return nil, fmt.Errorf("bench: measure the machine: %w", err)
	}
	sections := []func(context.Context) error{r.throughput, r.latency, r.idle, r.grow}
	if o.Transport == "kafka" {
		sections = []func(context.Context) error{r.overKafka}
	}
	for _, section := range sections {
		if err := section(ctx); err != nil {
			return nil, err
		}
	}
	return r.report, nil
}

type runner struct {
	Options
	folder string
	report *Report
}

func (r *runner) runs(section string) bool { return slices.Contains(r.Run, section) }

// side is a side of a comparison.
type side struct {
	name string
	job  work.Job
}

// fewFlows is the number of flows in flight at which GoChannel was fastest: half as fast again as without a limit, as
// measured. 64 flows were no faster, and 1,024 flows were slower.
const fewFlows = 256

// throughput compares Troupe with its rivals. All sides share the rounds.
func (r *runner) throughput(ctx context.Context) error {
	troupe := side{"Troupe", work.Job{Worker: "troupe"}}
	var contests []contest
	if r.runs("gochannel") {
		limit := fmt.Sprintf(", at most %d flows under way", fewFlows)
		contests = append(contests,
			contest{"Troupe ÷ Watermill's GoChannel, which keeps nothing", troupe, side{"GoChannel", work.Job{Worker: "gochannel"}}, atLeast(0.6)},
			contest{"the same" + limit, side{"Troupe" + limit, work.Job{Worker: "troupe", InFlight: fewFlows}},
				side{"GoChannel" + limit, work.Job{Worker: "gochannel", InFlight: fewFlows}}, noGoal})
	}
	if r.runs("sqlite") {
		contests = append(contests,
			contest{"Troupe ÷ bare SQLite, one thread, in groups of 64", troupe, side{"bare SQLite, groups of 64", work.Job{Worker: "sqlite", Group: 64}}, atLeast(0.5)},
			contest{"the same, in groups of 512", troupe, side{"bare SQLite, groups of 512", work.Job{Worker: "sqlite", Group: 512}}, noGoal})
	}
	_, err := r.compete(ctx, r.Rounds, perFlow, contests)
	return err
}

// contest compares the rates of two sides.
type contest struct {
	name        string
	over, under side
	goal        goal
}

// rate is the figure of a comparison, with the unit.
type rate struct{ figure, unit string }

var (
	perFlow  = rate{work.FlowsPerSecond, "flows/s"}
	perEvent = rate{work.EventsPerSecond, "events/s"}
)

// compete measures all sides of contests in rounds, and reports the rates, and the ratios round by round.
func (r *runner) compete(ctx context.Context, rounds int, in rate, contests []contest) (map[string][]work.Figures,
	error) {
	var sides []side
	for _, c := range contests {
		for _, s := range []side{c.over, c.under} {
			if !slices.Contains(sides, s) {
				sides = append(sides, s)
			}
		}
	}
	measured := map[string][]work.Figures{}
	for round := range rounds {
		for i := range sides {
			s := sides[(i+round)%len(sides)]
			if s.job.Flows == 0 {
				s.job.Flows = r.Flows
			}
			f, err := r.work(ctx, fmt.Sprintf("round %d of %d: %s", round+1, rounds, s.name), s.job)
			if err != nil {
				return nil, err
			}
			measured[s.name] = append(measured[s.name], f)
		}
	}
	rates := map[string][]float64{}
	for _, s := range sides {
		var err error
		if rates[s.name], err = all(measured[s.name], in.figure); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", s.name, err)
		}
		r.report.figure(s.name, in.unit, rates[s.name])
	}
	for _, c := range contests {
		r.report.row(c.name, "×", ratios(rates[c.over.name], rates[c.under.name]), c.goal)
	}
	return measured, nil
}

// workLimit is the time limit of a worker: a worker whose flows do not end would wait forever.
const workLimit = 10 * time.Minute

// work runs a job and returns the figures. A job without a journal gets a new journal.
func (r *runner) work(ctx context.Context, what string, j work.Job) (work.Figures, error) {
	if j.Journal == "" {
		folder, err := os.MkdirTemp(r.folder, j.Worker+"-")
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		defer func() { _ = os.RemoveAll(folder) }() // r.folder is removed later, and reports an error
		j.Journal = filepath.Join(folder, "troupe.db")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, workLimit, fmt.Errorf("no answer within %v", workLimit))
	defer cancel()
	f, err := r.Start(ctx, j)
	if err != nil {
		return nil, err
	}
	r.Progress(what + ": " + text(f))
	return f, nil
}

// repeat runs a job several times.
func (r *runner) repeat(ctx context.Context, times int, what string, j work.Job) ([]work.Figures, error) {
	var measured []work.Figures
	for i := range times {
		f, err := r.work(ctx, fmt.Sprintf("%s, %d of %d", what, i+1, times), j)
		if err != nil {
			return nil, err
		}
		measured = append(measured, f)
	}
	return measured, nil
}

// latencyRuns is the number of processes that measure latency.
const latencyRuns = 3

func (r *runner) latency(ctx context.Context) error {
	if !r.runs("latency") {
		return nil
	}
	const name = "idle flow of five reactions, until it is on disk"
	for _, l := range []struct {
		name     string
		job      work.Job
		p50, p99 goal
	}{
		{name, work.Job{Worker: "latency", Flows: max(1, r.Flows/15)}, atMost(1), atMost(5)},
		{"the same after a pause of 10 ms", work.Job{Worker: "latency", Flows: max(1, r.Flows/45), Pause: 10 * time.Millisecond}, noGoal, noGoal},
	} {
		measured, err := r.repeat(ctx, latencyRuns, l.name, l.job)
		if err != nil {
			return err
		}
		if err := r.report.measured(l.name+", p50", "ms", measured, work.P50, l.p50); err != nil {
			return err
		}
		if err := r.report.measured(l.name+", p99", "ms", measured, work.P99, l.p99); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) idle(ctx context.Context) error {
	if !r.runs("idle") {
		return nil
	}
	name := fmt.Sprintf("processor time of an idle process, over %v", r.Idle)
	f, err := r.work(ctx, name, work.Job{Worker: "idle", Flows: 100, Pause: r.Idle})
	if err != nil {
		return err
	}
	return r.report.measured(name, "% of a core", []work.Figures{f}, work.Busy, atMost(0.5))
}

func (r *runner) grow(ctx context.Context) error {
	if !r.runs("grow") {
		return nil
	}
	journal := filepath.Join(r.folder, "grown.db")
	events := number(float64(r.Events))
	flows := (r.Events + work.Reactions) / (work.Reactions + 1)
	if _, err := r.work(ctx, "a journal of "+events+" events", work.Job{Worker: "grow", Journal: journal, Flows: flows}); err != nil {
		return err
	}
	const opening = "opening that journal, until its first flow is on disk"
	opens, err := r.repeat(ctx, r.Rounds, opening, work.Job{Worker: "open", Journal: journal})
	if err != nil {
		return err
	}
	grown := side{"Troupe on a journal of " + events + " events and more", work.Job{Worker: "troupe", Journal: journal}}
	empty := side{"Troupe on an empty journal", work.Job{Worker: "troupe"}}
	ratio := contest{"throughput on a journal of " + events + " events ÷ on an empty one", grown, empty, atLeast(0.9)}
	measured, err := r.compete(ctx, 2*r.Rounds, perFlow, []contest{ratio}) // twice: the difference is small
	if err != nil {
		return err
	}
	if err := r.report.measured(opening, "s", opens, work.Opened, atMost(1)); err != nil {
		return err
	}
	at, err := all(measured[grown.name], work.Peak)
	if err != nil {
		return err
	}
	r.report.figure("peak of resident memory on that journal", "MB", at)
	return r.report.measured("resident memory on that journal", "MB", measured[grown.name], work.Resident, atMost(100))
}
