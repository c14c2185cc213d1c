package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// stream writes events as go test -json does. A string stands for a raw line.
func stream(tb testing.TB, lines ...any) string {
	tb.Helper()
	var b strings.Builder
	for _, line := range lines {
		if raw, ok := line.(string); ok {
			b.WriteString(raw + "\n")
			continue
		}
		text, err := json.Marshal(line)
		if err != nil {
			tb.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	return b.String()
}

// MustReport runs a whole report over in and returns what it wrote and whether it is green.
func MustReport(tb testing.TB, in string) (string, bool) {
	tb.Helper()
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(in)); err != nil {
		tb.Fatal(err)
	}
	green := r.close()
	return out.String(), green
}

func wrote(pkg, test, text string) event {
	return event{Action: "output", Package: pkg, Test: test, Output: text}
}

func ended(pkg, test, result string) event { return event{Action: result, Package: pkg, Test: test} }

func TestReport(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		in     []any
		green  bool
		shows  []string
		hides  []string
		counts string
	}{
		{
			name: "a passing package is one line",
			in: []any{
				wrote("m/a", "TestX", "=== RUN   TestX\n"), wrote("m/a", "TestX", "    x_test.go:1: chatter\n"),
				ended("m/a", "TestX", "pass"), wrote("m/a", "", "PASS\n"), wrote("m/a", "", "-test.shuffle 7\n"),
				wrote("m/a", "", "ok  \tm/a\t0.1s\n"), ended("m/a", "", "pass"),
			},
			green: true, shows: []string{"ok  \tm/a\t0.1s\n"}, hides: []string{"chatter", "PASS", "shuffle", "skipped:"},
			counts: "1 passed, 0 failed, 0 skipped",
		},
		{
			name: "a skip is named with its reason",
			in: []any{
				ended("m/a", "TestY", "pass"),
				wrote("m/a", "TestX", "    x_test.go:1: looking\n"), wrote("m/a", "TestX", "    x_test.go:2: no file:\n"),
				wrote("m/a", "TestX", "        get it\n"), wrote("m/a", "TestX", "--- SKIP: TestX (0.00s)\n"),
				ended("m/a", "TestX", "skip"), ended("m/a", "TestZ/sub", "skip"), ended("m/a", "", "pass"),
			},
			green: true, shows: []string{"  m/a TestX: no file: get it\n", "  m/a TestZ/sub: no reason given\n"}, hides: []string{"looking"},
			counts: "1 passed, 0 failed, 2 skipped",
		},
		{
			name: "a failure is shown in full and a passed test's output with it",
			in: []any{
				wrote("m/a", "TestBad", "=== RUN   TestBad\n"), wrote("m/a", "TestBad", "    x_test.go:1: got 1, want 2\n"),
				wrote("m/a", "TestOK", "=== RUN   TestOK\n"), wrote("m/a", "TestOK", "WARNING: DATA RACE\n"),
				wrote("m/a", "TestOK", "--- PASS: TestOK (0.00s)\n"), ended("m/a", "TestOK", "pass"),
				wrote("m/a", "TestBad", "--- FAIL: TestBad (0.00s)\n"), ended("m/a", "TestBad", "fail"),
				wrote("m/a", "", "-test.shuffle 7\n"), wrote("m/a", "", "FAIL\tm/a\t0.1s\n"), ended("m/a", "", "fail"),
			},
			shows:  []string{"got 1, want 2", "--- FAIL: TestBad", "WARNING: DATA RACE", "-test.shuffle 7", "FAIL\tm/a"},
			hides:  []string{"RUN   TestOK", "PASS: TestOK"},
			counts: "1 passed, 1 failed, 0 skipped",
		},
		{
			name: "a crash leaves a test without a result",
			in: []any{
				ended("m/a", "TestOK", "pass"), wrote("m/a", "TestHang", "panic: test timed out after 3s\n"),
				wrote("m/a", "", "FAIL\tm/a\t3.0s\n"), ended("m/a", "", "fail"),
			},
			shows: []string{"panic: test timed out", "FAIL\tm/a"}, counts: "1 passed, 1 failed, 0 skipped",
		},
		{
			name: "a package that does not build",
			in: []any{
				event{Action: "build-output", ImportPath: "m/b", Output: "b.go:3:1: undefined: x\n"},
				event{Action: "build-fail", ImportPath: "m/b"}, wrote("m/b", "", "FAIL\tm/b [build failed]\n"),
				ended("m/b", "", "fail"), ended("m/a", "TestOK", "pass"), ended("m/a", "", "pass"),
			},
			shows: []string{"undefined: x", "FAIL\tm/b [build failed]"}, counts: "1 passed, 1 failed, 0 skipped",
		},
		{
			name: "a run that ends in the middle",
			in: []any{
				ended("m/b", "TestOK", "pass"), ended("m/b", "", "pass"),
				event{Action: "start", Package: "m/a"}, wrote("m/a", "TestX", "halfway\n"),
			},
			shows: []string{"halfway", "FAIL\tm/a [no result"}, counts: "1 passed, 1 failed, 0 skipped",
		},
		{
			name:   "go test failed though every event passed",
			in:     []any{ended("m/a", "TestOK", "pass"), ended("m/a", "", "pass"), "go test: exit status 2"},
			shows:  []string{"go test: exit status 2\n", "FAIL: the run is incomplete"},
			counts: "1 passed, 0 failed, 0 skipped",
		},
		{
			name:  "nothing but skips",
			in:    []any{ended("m/a", "TestX", "skip"), ended("m/a", "", "pass")},
			shows: []string{"FAIL: no test ran"}, counts: "0 passed, 0 failed, 1 skipped",
		},
		{name: "nothing at all", shows: []string{"FAIL: no test ran"}, counts: "0 passed, 0 failed, 0 skipped"},
		{
			name: "the same test twice",
			in: []any{
				event{Action: "run", Package: "m/a", Test: "TestX"}, wrote("m/a", "TestX", "first got 1\n"), ended("m/a", "TestX", "fail"),
				event{Action: "run", Package: "m/a", Test: "TestX"}, wrote("m/a", "TestX", "second time fine\n"), ended("m/a", "TestX", "pass"),
				ended("m/a", "", "fail"),
			},
			shows: []string{"first got 1", "second time fine"}, counts: "1 passed, 1 failed, 0 skipped",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, green := MustReport(t, stream(t, tt.in...))
			if green != tt.green {
				t.Errorf("green = %v, want %v", green, tt.green)
			}
			for _, want := range tt.shows {
				if !strings.Contains(out, want) {
					t.Errorf("does not show %q", want)
				}
			}
			for _, hidden := range tt.hides {
				if strings.Contains(out, hidden) {
					t.Errorf("shows %q", hidden)
				}
			}
			if !strings.HasSuffix(out, "\n"+tt.counts+"\n") {
				t.Errorf("does not end with %q alone on a line", tt.counts)
			}
			if t.Failed() {
				t.Log("\n" + out)
			}
		})
	}
}

func TestReportReadsLongLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	out, green := MustReport(t, stream(t,
		wrote("m/a", "TestBad", long+"\n"), ended("m/a", "TestBad", "fail"), ended("m/a", "", "fail")))
	if green || !strings.Contains(out, long) {
		t.Errorf("green = %v, %d bytes written, want the long line in full", green, len(out))
	}
}
