package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/cover"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/coverage"
)

const coverLong = `cover shows the edges of the choreography that the tests of a system never exercised. An edge is
an event that a subscription consumes, covered when the event was handled; or an event that a
subscription may emit, covered when the event was emitted. cover also lists the faults that each
subscription never met: a crash before and after a commit, the same delivery twice and, for a
call to the outside, a call that fails, hangs, or succeeds with a lost answer.

Tests that use bus/bustest add their edges to the file that TROUPE_COVER names. Remove the file
before you begin. Several FILEs are added up.

With --min, the exit code is 1 when fewer edges are covered.`

const coverExample = `  rm -f cover.json; TROUPE_COVER=$PWD/cover.json go test -count=1 ./...
  {name} cover cover.json
  {name} cover cover.json other.json --min 95
  {name} cover cover.json --mermaid > choreography.mmd`

// NewCoverCmd returns the command cover.
func NewCoverCmd(o *console.Options) *cobra.Command {
	var least float64
	var mermaid bool
	cmd := &cobra.Command{
		Use: "cover FILE...", Short: "Show the edges and faults that the tests never exercised",
		Long: coverLong, Example: coverExample,
		Args: console.UsageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case !(least >= 0 && least <= 100): // NaN is possible
				return console.UsageErrorf("--min %v: want a percentage between 0 and 100", least)
			case mermaid && o.Json:
				return console.UsageErrorf("--json and --mermaid exclude each other: give one of them")
			}
			r, err := readCoverage(args)
			if err != nil {
				return err
			}
			c := coverage.New(r)
			if err := printCoverage(o, c, mermaid); err != nil {
				return err
			}
			return atLeast(c, least)
		},
	}
	cmd.Flags().Float64Var(&least, "min", 0, "fail when fewer than `PERCENT` of the edges are covered")
	cmd.Flags().BoolVar(&mermaid, "mermaid", false, "draw the choreography as a Mermaid flowchart, with edges without coverage in red")
	return cmd
}

// readCoverage returns the sum of the files at paths.
func readCoverage(paths []string) (*cover.Report, error) {
	all := cover.New()
	for _, path := range paths {
		r, err := cover.Read(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("there is no file %s: let the tests write the file: %s", path, coverRun(path))
		case errors.Is(err, cover.ErrFormat):
			return nil, fmt.Errorf("%w\nremove the file, and let the tests write a new one: %s", err, coverRun(path))
		case err != nil:
			return nil, err
		}
		all.Merge(r)
	}
	return all, nil
}

// coverRun returns a command line that writes coverage to path. The path must be absolute, because go test runs in many
// folders.
func coverRun(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return "TROUPE_COVER=" + console.QuoteArg(path) + " go test -count=1 ./..."
}

// atLeast returns an error if fewer than least percent of the edges are covered.
func atLeast(c *coverage.Covered, least float64) error {
	if c.Percent >= least {
		return nil
	}
	what := fmt.Sprintf("%s of the edges are covered, and --min wants %v %%", coverage.Percent(c.Percent), least)
	if c.Edges == 0 {
		what += ": no test wrote an edge; the tests must use bus/bustest"
	} else {
		what += fmt.Sprintf(": %s never taken; write tests for these edges", countAre(len(c.NeverTaken), "edge"))
	}
	return &console.ExitError{Code: console.ExitWrong, Err: errors.New(what)}
}

// countAre returns "1 edge was" or "2 edges were".
func countAre(n int, noun string) string {
	if n == 1 {
		return console.Count(n, noun) + " was"
	}
	return console.Count(n, noun) + " were"
}

// printCoverage prints c as JSON, as a flowchart, or as text.
func printCoverage(o *console.Options, c *coverage.Covered, mermaid bool) error {
	p := &console.Printer{O: o}
	switch {
	case o.Json:
		return o.PrintJSON(c)
	case mermaid:
		c.Draw(p)
	default:
		c.Text(p)
	}
	return p.Err
}
