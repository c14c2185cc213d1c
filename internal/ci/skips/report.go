package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json; see go doc test2json. Build events have ImportPath instead of Package.
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	ImportPath string
}

// framing matches the lines that the testing package writes around a test's own output.
var framing = regexp.MustCompile(`^\s*(=== |--- (PASS|SKIP|BENCH): )`)

// logged matches the first line of t.Log and t.Skip; the text follows.
var logged = regexp.MustCompile(`^\s*[^\s:]+\.go:\d+: (.*)`)

// verdict matches the line that go test prints for a package that did not fail.
var verdict = regexp.MustCompile(`^(ok  |\?   )\t`)

// test has the output and the result of a test. The result is empty while the test runs, and stays empty after a
// crash.
type test struct {
	name   string
	result string
	output []string
}

// suite is the run of a package. The test without a name has the output of the package outside of tests.
type suite struct {
	tests  map[string]*test
	order  []*test
	failed int
}

// report reads the events of a test run, and writes the summary.
type report struct {
	out                     io.Writer
	running                 map[string]*suite
	skips                   []string
	passed, failed, skipped int
	broken                  bool
}

func newReport(out io.Writer) *report {
	return &report{out: out, running: map[string]*suite{}}
}

// read reads the whole stream. It returns read errors only; failed tests are no errors.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
}

func (r *report) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
		r.broken = true
		fmt.Fprintf(r.out, "%s\n", bytes.TrimRight(line, "\r\n"))
		return
	}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.broken = true
	default:
		r.event(e)
	}
}

func (r *report) event(e event) {
	s := r.suite(e.Package)
	if e.Action == "run" {
		delete(s.tests, e.Test) // with -count a test runs again: keep the outputs apart
	}
	t := s.test(e.Test)
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "fail", "skip":
		t.result = e.Action
		if e.Test == "" {
			r.finish(e.Package, e.Action)
			return
		}
		r.count(e.Package, s, t)
	}
}

func (r *report) suite(pkg string) *suite {
	s := r.running[pkg]
	if s == nil {
		s = &suite{tests: map[string]*test{}}
		r.running[pkg] = s
	}
	return s
}

func (s *suite) test(name string) *test {
	t := s.tests[name]
	if t == nil {
		t = &test{name: name}
		s.tests[name] = t
		s.order = append(s.order, t)
	}
	return t
}

func (r *report) count(pkg string, s *suite, t *test) {
	switch t.result {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		s.failed++
	case "skip":
		r.skipped++
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", pkg, t.name, reason(t.output)))
	}
}

// finish writes the package's part of the report. A package that failed without a failed test (did not build,
// crashed, or ran out of time) counts as a failure, so that the last line does not report 0 failures.
func (r *report) finish(pkg, result string) {
	s := r.running[pkg]
	delete(r.running, pkg)
	if result == "fail" {
		r.broken = true
		if s.failed == 0 {
			r.failed++
		}
		s.writeTests(r.out)
	}
	for _, line := range s.test("").output {
		if result == "fail" || verdict.MatchString(line) {
			fmt.Fprint(r.out, line)
		}
	}
}

// writeTests writes the output of passed tests first and the failures last, next to the package's own lines. The
// output of passed tests matters, too: with t.Parallel a data race or a crash often appears under the name of a test
// that passed.
func (s *suite) writeTests(out io.Writer) {
	for _, t := range s.order {
		if t.name != "" && (t.result == "pass" || t.result == "skip") {
			for _, line := range t.output {
				if !framing.MatchString(line) {
					fmt.Fprint(out, line)
				}
			}
		}
	}
	for _, t := range s.order {
		if t.name != "" && t.result != "pass" && t.result != "skip" {
			fmt.Fprint(out, strings.Join(t.output, ""))
		}
	}
}

// reason returns the last text that a skipped test logged: the argument of t.Skip.
func reason(output []string) string {
	var lines []string
	for _, line := range output {
		if framing.MatchString(line) {
			continue
		}
		if m := logged.FindStringSubmatch(line); m != nil {
			lines = []string{m[1]}
		} else if text := strings.TrimSpace(line); text != "" && len(lines) > 0 {
			lines = append(lines, text)
		}
	}
	if text := strings.TrimSpace(strings.Join(lines, " ")); text != "" {
		return text
	}
	return "no reason given"
}

// close writes the end of the report, and reports whether the run is green. Call close once, after read.
func (r *report) close() bool {
	for _, pkg := range slices.Sorted(maps.Keys(r.running)) {
		r.finish(pkg, "fail")
		fmt.Fprintf(r.out, "FAIL\t%s [no result: the run ended before the package did]\n", pkg)
	}
	if len(r.skips) > 0 {
		fmt.Fprintln(r.out, "\nskipped:")
		for _, skip := range r.skips {
			fmt.Fprintln(r.out, "  "+skip)
		}
	}
	if r.passed+r.failed == 0 {
		r.broken = true
		fmt.Fprintln(r.out, "FAIL: no test ran")
	} else if r.broken && r.failed == 0 {
		fmt.Fprintln(r.out, "FAIL: the run is incomplete; see above")
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return !r.broken && r.failed == 0
}
