package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/internal/bench/work"
)

func TestMedianAndRatios(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		of   []float64
		want float64
	}{{[]float64{7}, 7}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 9, 2}, 3}} {
		given := slices.Clone(tt.of)
		if got := median(tt.of); got != tt.want || !slices.Equal(given, tt.of) {
			t.Errorf("median(%v) = %v, want %v", given, got, tt.want)
		}
	}
	// The median of the ratios, not the ratio of the medians: a round that was slow for both sides has the same ratio.
	if got := ratios([]float64{10, 2, 30}, []float64{20, 8, 40}); !slices.Equal(got, []float64{0.5, 0.25, 0.75}) {
		t.Errorf("ratios %v", got)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 0.0000041: "0.00000", 0.0123: "0.0123", 0.598: "0.598", 0.6: "0.600", 1: "1.00", 9.876: "9.88", 12.34: "12.3", 100: "100",
		999.4: "999", 1000: "1,000", 9863.97: "9,864", 1234567: "1,234,567",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

// script is a Start that answers from a table. The second and the third answer to a job are slower, and then the
// answers start over.
type script struct {
	jobs []work.Job
	fail string // the worker that fails
	mute string // the worker without figures
}

var errScript = errors.New("the disk is gone")

func (s *script) start(_ context.Context, j work.Job) (work.Figures, error) {
	grown := filepath.Base(j.Journal) == "grown.db"
	if _, err := os.Stat(filepath.Dir(j.Journal)); err != nil {
		return nil, err
	}
	if j.Journal = ""; grown {
		j.Journal = "grown"
	}
	s.jobs = append(s.jobs, j)
	asked := -1
	for _, earlier := range s.jobs {
		if earlier == j {
			asked++
		}
	}
	slow := float64(1 + asked%3)
	switch {
	case j.Worker == s.fail:
		return nil, errScript
	case j.Worker == s.mute:
		return work.Figures{}, nil
	case grown && j.Worker == "troupe":
		return work.Figures{work.FlowsPerSecond: 5400 / slow, work.Resident: 40 + slow, work.Peak: 50 + slow}, nil
	default:
		return map[string]work.Figures{
			"troupe":    {work.FlowsPerSecond: 6000 / slow, work.Resident: 1, work.Peak: 2},
			"gochannel": {work.FlowsPerSecond: 10_000 / slow},
			"sqlite":    {work.FlowsPerSecond: 15_000 / slow},
			"latency":   {work.P50: 0.5 * slow, work.P99: 4 * slow},
			"idle":      {work.Busy: 0.1},
			"open":      {work.Opened: 0.25},
			"grow":      {work.FlowsPerSecond: 1},

			"kafka":             {work.FlowsPerSecond: 900 / slow},
			"watermill":         {work.FlowsPerSecond: 1000 / slow},
			"relay":             {work.EventsPerSecond: 600 / slow},
			"send":              {work.EventsPerSecond: 1000 / slow},
			"ingest":            {work.EventsPerSecond: 1200 / slow},
			"publish":           {work.EventsPerSecond: 1000 / slow},
			"kafka-latency":     {work.P50: 4 * slow, work.P99: 40 * slow},
			"watermill-latency": {work.P50: 1 * slow, work.P99: 10 * slow},
		}[j.Worker], nil
	}
}

// MustRun runs a bench in a temporary folder, which must be empty at the end.
func MustRun(tb testing.TB, o Options) *Report {
	tb.Helper()
	o.Folder = tb.TempDir()
	r, err := Run(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	MustBeEmpty(tb, o.Folder)
	return r
}

func MustBeEmpty(tb testing.TB, folder string) {
	tb.Helper()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		tb.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	s := &script{}
	r := MustRun(t, Options{Start: s.start, Grow: true, Flows: 90, Rounds: 3, Idle: time.Second})
	want := []struct {
		name  string
		value float64
		met   string
	}{
		{"GoChannel", 0.6, "≥ 0.6 true"},
		{"256", 0.6, ""},
		{"groups of 64", 0.4, "≥ 0.5 false"},
		{"groups of 512", 0.4, ""},
		{"disk, p50", 1, "≤ 1 true"},
		{"disk, p99", 8, "≤ 5 false"},
		{"10 ms, p50", 1, ""},
		{"10 ms, p99", 8, ""},
		{"idle process, over 1s", 0.1, "≤ 0.5 true"},
		{"1,000,000 events", 0.9, "≥ 0.9 true"},
		{"opening", 0.25, "≤ 1 true"},
		{"resident", 42, "≤ 100 true"},
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
	if f := r.Figures[0]; f.Name != "Troupe" || f.Median != 3000 || f.Min != 2000 || f.Max != 6000 || !slices.Equal(f.Runs, []float64{6000, 3000, 2000}) {
		t.Errorf("figure %+v", f)
	}
	if g := (work.Job{Worker: "grow", Journal: "grown", Flows: 166_667}); !slices.Contains(s.jobs, g) {
		t.Errorf("no job %+v", g)
	}
}

func TestRoundsTakeTurns(t *testing.T) {
	t.Parallel()
	s := &script{}
	MustRun(t, Options{Start: s.start, Run: []string{"sqlite"}, Rounds: 3})
	var turns []string
	for _, j := range s.jobs {
		turns = append(turns, fmt.Sprint(j.Worker, j.Group, " ", j.Flows))
	}
	a, b, c := "troupe0 15000", "sqlite64 15000", "sqlite512 15000"
	if want := []string{a, b, c, b, c, a, c, a, b}; !slices.Equal(turns, want) {
		t.Errorf("turns %q, want %q", turns, want)
	}
}

func TestWorkerThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"troupe", "gochannel", "sqlite", "latency", "idle", "open", "grow"} {
		folder := t.TempDir()
		r, err := Run(t.Context(), Options{Start: (&script{fail: name}).start, Grow: true, Folder: folder})
		if !errors.Is(err, errScript) || r != nil {
			t.Errorf("%s fails: %+v, %v", name, r, err)
		}
		MustBeEmpty(t, folder)
		if name == "grow" { // its figure is only printed
			continue
		}
		if r, err := Run(t.Context(), Options{Start: (&script{mute: name}).start, Grow: true, Folder: folder}); err == nil || !strings.Contains(err.Error(), "measured no") {
			t.Errorf("%s measures nothing: %+v, %v", name, r, err)
		}
	}
}

func TestRunForReal(t *testing.T) {
	t.Parallel()
	var told []string
	r := MustRun(t, Options{
		Start: work.Run, Grow: true, Flows: 15, Rounds: 2, Events: 50, Idle: 10 * time.Millisecond,
		Progress: func(line string) { told = append(told, line) },
	})
	if want := 2*6 + 2*3 + 1 + 1 + 2 + 4*2; len(r.Rows) != 12 || len(told) != want {
		t.Errorf("%d rows, and told %d lines, want %d: %q", len(r.Rows), len(told), want, told)
	}
	if m := r.Machine; m.CPUs < 1 || m.Go == "" || m.SQLite == "" || m.SyncMS <= 0 {
		t.Errorf("machine %+v", m)
	}
}

func TestMistakesInOptions(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), Options{Start: (&script{}).start, Run: []string{"latency", "speed"}, Flows: -1})
	if err == nil || !strings.Contains(err.Error(), `"speed"`) || !strings.Contains(err.Error(), "Flows is -1") {
		t.Errorf("got %v", err)
	}
	for _, o := range []Options{
		{Transport: "pigeon"}, {Transport: "kafka", Grow: true}, {Transport: "kafka", Run: []string{"sqlite"}}, {Run: []string{"relay"}},
		{Brokers: []string{"127.0.0.1:9092"}}, {Transport: "kafka", Brokers: []string{"127.0.0.1:9092", "there"}},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("nothing wrong with %+v", o)
		}
	}
	if _, err := Run(t.Context(), Options{Start: (&script{}).start, Folder: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("runs in a folder that is not there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Start: work.Run, Folder: t.TempDir(), Flows: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context has ended: %v", err)
	}
}

// threeRows has a target that is met, a target that is missed, and a row without a target.
func threeRows() *Report {
	r := &Report{
		Machine: Machine{CPUs: 2, CPU: "Fast 9000", OS: "linux", Arch: "amd64", Go: "go1.26.0", SQLite: "3.53.4", SyncMS: 0.19},
		Flows:   20_000, Rounds: 3, Reactions: 5, Publishers: 64, PayloadBytes: 195,
	}
	r.row("fast ÷ slow", "×", []float64{0.5, 0.7, 0.62}, atLeast(0.6))
	r.row("wait", "ms", []float64{1.5}, atMost(1))
	r.row("the same", "ms", []float64{12, 14}, noGoal)
	r.figure("fast", "flows/s", []float64{5000, 12_345, 6200})
	return r
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	const want = `| measured | value | target | met |
|---|---:|---|---|
| fast ÷ slow | 0.620 × (0.500–0.700) | ≥ 0.6 × | yes |
| wait | 1.50 ms | ≤ 1 ms | no |
| the same | 13.0 ms (12.0–14.0) | – | – |

| figure | median | least | greatest |
|---|---:|---:|---:|
| fast | 6,200 flows/s | 5,000 | 12,345 |

5 reactions a flow, 195 bytes an event, 64 publishers, 20,000 flows a run, every run in a process of its own; values are the median of their runs (least to greatest).

2 CPUs (Fast 9000), linux/amd64, go1.26.0, SQLite 3.53.4; writing 4 KiB and syncing them takes 0.190 ms.
`
	var b strings.Builder
	if err := threeRows().WriteMarkdown(&b); err != nil || b.String() != want {
		t.Errorf("got %v\n%s", err, b.String())
	}
	r := threeRows()
	r.Broker = "Kafka at there:9092"
	if err := r.WriteMarkdown(&b); err != nil || !strings.HasSuffix(b.String(), "\n\nBroker: Kafka at there:9092; 6 partitions a topic.\n") {
		t.Errorf("got %v\n%s", err, b.String())
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	const want = `{"rows":[` +
		`{"name":"fast ÷ slow","value":0.62,"min":0.5,"max":0.7,"unit":"×","target":"≥ 0.6","met":true},` +
		`{"name":"wait","value":1.5,"min":1.5,"max":1.5,"unit":"ms","target":"≤ 1","met":false},` +
		`{"name":"the same","value":13,"min":12,"max":14,"unit":"ms","target":"","met":null}],` +
		`"figures":[{"name":"fast","unit":"flows/s","median":6200,"min":5000,"max":12345,"runs":[5000,12345,6200]}],` +
		`"machine":{"cpus":2,"cpu":"Fast 9000","os":"linux","arch":"amd64","go":"go1.26.0","sqlite":"3.53.4","sync_ms":0.19},` +
		`"flows":20000,"rounds":3,"reactions":5,"publishers":64,"payload_bytes":195}`
	if got, err := json.Marshal(threeRows()); err != nil || string(got) != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, got, want)
	}
	r := threeRows()
	r.Broker = "Kafka at there:9092"
	if got, err := json.Marshal(r); err != nil || !strings.Contains(string(got), `,"broker":"Kafka at there:9092",`) {
		t.Errorf("got %v\n%s", err, got)
	}
}
