package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/internal/bench"
	"github.com/troupebus/troupe/internal/bench/work"
)

// MustBench runs bench with its workers in this process, in a folder that must be empty afterwards.
func MustBench(tb testing.TB, start bench.Start, args ...string) ranCommand {
	tb.Helper()
	folder := tb.TempDir()
	a := newShop().app()
	a.Commands = []troupe.Command[doors]{benchBy(start)}
	ran := runApp(tb.Context(), a, append([]string{"bench", "--dir", folder}, args...)...)
	mustBeEmpty(tb, folder)
	return ran
}

func mustBeEmpty(tb testing.TB, folder string) {
	tb.Helper()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		tb.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBenchPrintsATable(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		folder := t.TempDir()
		var stdout, stderr bytes.Buffer
		c := benchBy(work.Run)
		f := flag.NewFlagSet("bench", flag.ContinueOnError)
		c.Flags(f)
		if err := f.Parse([]string{"--run", "gochannel", "--flows", "5", "--dir", folder}); err != nil {
			t.Fatal(err)
		}
		err := c.Check(f.Args())
		if err == nil {
			err = c.Run(t.Context(), &troupe.Call[doors]{Out: &stdout, Err: &stderr, Terminal: terminal})
		}
		if err != nil {
			t.Fatal(err)
		}
		mustBeEmpty(t, folder)
		if !strings.HasPrefix(stdout.String(), "| measured | value | target | met |\n") || !strings.Contains(stdout.String(), "GoChannel") {
			t.Errorf("printed\n%s", &stdout)
		}
		want := 0
		if terminal {
			want = 5 * 4
		}
		if got := strings.Count(stderr.String(), "\n"); got != want {
			t.Errorf("on a terminal: %v: %d lines of progress, want %d\n%s", terminal, got, want, &stderr)
		}
	}
}

func TestBenchJSON(t *testing.T) {
	t.Parallel()
	got := mustUnmarshal[bench.Report](t, MustBench(t, work.Run, "--json", "--run", "latency", "--flows", "5"))
	if len(got.Rows) != 4 || got.Rows[0].Value <= 0 || got.Rows[0].Target != "≤ 1" || got.Machine.CPUs == 0 || got.Flows != 5 {
		t.Errorf("report %+v", got)
	}
}

func TestBenchOverKafka(t *testing.T) {
	t.Parallel()
	got := mustUnmarshal[bench.Report](t, MustBench(t, work.Run, "--json", "--transport", "kafka", "--run", "relay", "--flows", "5"))
	if len(got.Rows) != 1 || got.Rows[0].Value <= 0 || got.Rows[0].Target != "≥ 0.5" || !strings.Contains(got.Broker, "kfake") {
		t.Errorf("report %+v", got)
	}
	err := MustBench(t, work.Run, "--transport", "kafka", "--brokers", "127.0.0.1:1").err
	if exitCode(err) != exitWrong || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("with no Kafka there: %v, exit code %d", err, exitCode(err))
	}
}

func TestBenchThatCannotMeasure(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	ran := MustBench(t, func(context.Context, work.Job) (work.Figures, error) { return nil, broken }, "--run", "idle")
	if exitCode(ran.err) != exitWrong || !strings.Contains(ran.err.Error(), broken.Error()) || ran.stdout != "" {
		t.Errorf("got %v, exit code %d, printed %q", ran.err, exitCode(ran.err), ran.stdout)
	}
}

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--run", "speed"}, {"--flows", "-1"}, {"now"},
		{"--transport", "pigeon"}, {"--transport", "kafka", "--run", "sqlite"}, {"--transport", "kafka", "--grow"}, {"--run", "relay"},
		{"--brokers", "127.0.0.1:9092"}, {"--transport", "kafka", "--brokers", "there"},
	} {
		err := MustBench(t, work.Run, args...).err
		if exitCode(err) != exitUsage {
			t.Errorf("%q: %v, exit code %d, want %d", args, err, exitCode(err), exitUsage)
		}
	}
}

func TestBenchWorker(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	call := &troupe.Call[doors]{In: strings.NewReader(`{"worker": "gochannel", "flows": 5}`), Out: &stdout}
	if err := workerCommand().Run(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	var got work.Figures
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || got["flows_per_second"] <= 0 {
		t.Errorf("measured %v, %v", got, err)
	}
}
