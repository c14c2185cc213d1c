package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/troupebus/troupe/internal/bench"
)

// MustBench runs bench with its workers in this process, in a folder that must be empty afterwards.
func MustBench(tb testing.TB, o *options, start bench.Start, args ...string) error {
	tb.Helper()
	folder := tb.TempDir()
	cmd := benchCmd(o, start)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append(args, "--dir", folder))
	err := cmd.ExecuteContext(tb.Context())
	if left, readErr := os.ReadDir(folder); readErr != nil || len(left) > 0 {
		tb.Errorf("left behind: %v, %v", left, readErr)
	}
	return err
}

func TestBenchPrintsATable(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		var stdout, stderr bytes.Buffer
		err := MustBench(t, &options{stdout: &stdout, stderr: &stderr, isTerminal: terminal}, bench.Work, "--run", "gochannel", "--flows", "5")
		if err != nil {
			t.Fatal(err)
		}
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
	var stdout bytes.Buffer
	if err := MustBench(t, &options{stdout: &stdout, json: true}, bench.Work, "--run", "latency", "--flows", "5"); err != nil {
		t.Fatal(err)
	}
	var got bench.Report
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 4 || got.Rows[0].Value <= 0 || got.Rows[0].Target != "≤ 1" || got.Machine.CPUs == 0 || got.Flows != 5 {
		t.Errorf("report %+v", got)
	}
}

func TestBenchOverKafka(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	if err := MustBench(t, &options{stdout: &stdout, json: true}, bench.Work, "--transport", "kafka", "--run", "relay", "--flows", "5"); err != nil {
		t.Fatal(err)
	}
	var got bench.Report
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 1 || got.Rows[0].Value <= 0 || got.Rows[0].Target != "≥ 0.5" || !strings.Contains(got.Broker, "kfake") {
		t.Errorf("report %+v", got)
	}
	var stderr bytes.Buffer
	err := MustBench(t, &options{stdout: &stdout, stderr: &stderr}, bench.Work, "--transport", "kafka", "--brokers", "127.0.0.1:1")
	if exitCode(err) != exitWrong || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("with no Kafka there: %v, exit code %d", err, exitCode(err))
	}
}

func TestBenchThatCannotMeasure(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	var stdout bytes.Buffer
	err := MustBench(t, &options{stdout: &stdout}, func(context.Context, bench.Job) (bench.Figures, error) { return nil, broken }, "--run", "idle")
	if !errors.Is(err, broken) || exitCode(err) != exitWrong || stdout.Len() > 0 {
		t.Errorf("got %v, exit code %d, printed %q", err, exitCode(err), &stdout)
	}
}

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--run", "speed"}, {"--flows", "-1"}, {"now"},
		{"--transport", "pigeon"}, {"--transport", "kafka", "--run", "sqlite"}, {"--transport", "kafka", "--grow"}, {"--run", "relay"},
		{"--brokers", "127.0.0.1:9092"}, {"--transport", "kafka", "--brokers", "there"},
	} {
		err := MustBench(t, &options{stdout: &bytes.Buffer{}}, bench.Work, args...)
		if exitCode(err) != exitUsage {
			t.Errorf("%q: %v, exit code %d, want %d", args, err, exitCode(err), exitUsage)
		}
	}
}

func TestBenchWorker(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	cmd := newBenchCmd(&options{stdout: &stdout})
	cmd.SetIn(strings.NewReader(`{"worker": "gochannel", "flows": 5}`))
	cmd.SetArgs([]string{"worker"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got bench.Figures
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || got["flows_per_second"] <= 0 {
		t.Errorf("measured %v, %v", got, err)
	}
}
