package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/cover"
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

func newCoverCmd(o *options) *cobra.Command {
	var least float64
	var mermaid bool
	cmd := &cobra.Command{
		Use: "cover FILE...", Short: "Show the edges and faults that the tests never exercised",
		Long: coverLong, Example: coverExample,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case !(least >= 0 && least <= 100): // NaN is possible
				return usageErrorf("--min %v: want a percentage between 0 and 100", least)
			case mermaid && o.json:
				return usageErrorf("--json and --mermaid exclude each other: give one of them")
			}
			r, err := readCoverage(args)
			if err != nil {
				return err
			}
			c := newCovered(r)
			if err := c.print(o, mermaid); err != nil {
				return err
			}
			return c.atLeast(least)
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
	return "TROUPE_COVER=" + quoteArg(path) + " go test -count=1 ./..."
}

// covered is the output of the command.
type covered struct {
	Percent       float64                        `json:"percent"` // of the edges
	Covered       int                            `json:"covered"`
	Edges         int                            `json:"edges"`
	NeverTaken    []cover.Edge                   `json:"never_taken"` // never nil
	NeverMet      map[string][]cover.Fault       `json:"never_met"`   // by subscription; never nil
	Subscriptions map[string]*cover.Subscription `json:"subscriptions"`

	report *cover.Report
}

func newCovered(r *cover.Report) *covered {
	c := &covered{
		Percent: r.Percent(), Edges: len(r.Edges()), NeverTaken: []cover.Edge{}, NeverMet: map[string][]cover.Fault{},
		Subscriptions: r.Subscriptions, report: r,
	}
	c.NeverTaken = append(c.NeverTaken, r.Missing()...)
	c.Covered = c.Edges - len(c.NeverTaken)
	for name, s := range r.Subscriptions {
		if never := s.NeverMet(); len(never) > 0 {
			c.NeverMet[name] = never
		}
	}
	return c
}

// atLeast returns an error if fewer than least percent of the edges are covered.
func (c *covered) atLeast(least float64) error {
	if c.Percent >= least {
		return nil
	}
	what := fmt.Sprintf("%s of the edges are covered, and --min wants %v %%", percent(c.Percent), least)
	if c.Edges == 0 {
		what += ": no test wrote an edge; the tests must use bus/bustest"
	} else {
		what += fmt.Sprintf(": %s never taken; write tests for these edges", countAre(len(c.NeverTaken), "edge"))
	}
	return &exitError{code: exitWrong, err: errors.New(what)}
}

// percent rounds down: 100 % means that no edge is missing.
func percent(p float64) string { return fmt.Sprintf("%.1f %%", math.Floor(p*10)/10) }

// countAre returns "1 edge was" or "2 edges were".
func countAre(n int, noun string) string {
	if n == 1 {
		return count(n, noun) + " was"
	}
	return count(n, noun) + " were"
}

func (c *covered) print(o *options, mermaid bool) error {
	p := &printer{o: o}
	switch {
	case o.json:
		return o.printJSON(c)
	case mermaid:
		c.draw(p)
	default:
		c.text(p)
	}
	return p.err
}

// text prints c for people.
func (c *covered) text(p *printer) {
	color := red
	if len(c.NeverTaken) == 0 {
		color = green
	}
	p.line("%s", p.paint(color, fmt.Sprintf("%s covered: %d of %s", percent(c.Percent), c.Covered, count(c.Edges, "edge"))))
	if len(c.NeverTaken) > 0 {
		p.line("\nnever taken")
	}
	module := ""
	for _, e := range c.NeverTaken {
		if m := moduleOf(e.Subscription); m != module {
			module = m
			p.line("  %s", printable(m))
		}
		p.line("    %s%s", p.paint(red, printable(arrow(&e))), insteadOf(&e))
	}
	if len(c.NeverMet) == 0 {
		return
	}
	p.line("\nfaults never met")
	names := slices.Sorted(maps.Keys(c.NeverMet))
	width := len(slices.MaxFunc(names, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
	for _, name := range names {
		p.line("  %-*s  %s", width, printable(name), c.neverMet(name))
	}
}

// neverMet returns the faults that a subscription never met, as text.
func (c *covered) neverMet(name string) string {
	if len(c.Subscriptions[name].Faults) == 0 {
		return "any"
	}
	var words []string
	for _, f := range c.NeverMet[name] {
		words = append(words, strings.ReplaceAll(string(f), "-", " "))
	}
	return strings.Join(words, ", ")
}

// moduleOf returns the module of a subscription: the first part of the name.
func moduleOf(subscription string) string {
	module, _, _ := strings.Cut(subscription, "/")
	return module
}

// arrow returns an edge as text, in the direction of the events.
func arrow(e *cover.Edge) string {
	if e.Emitted {
		return e.Subscription + " → " + e.Type
	}
	return e.Type + " → " + e.Subscription
}

// insteadOf returns the outcomes of events that were never done, as text.
func insteadOf(e *cover.Edge) string {
	var words []string
	for _, outcome := range slices.Sorted(maps.Keys(e.Outcomes)) {
		words = append(words, fmt.Sprintf("%s %d times", printable(outcome), e.Outcomes[outcome]))
	}
	if len(words) == 0 {
		return ""
	}
	return "  (" + strings.Join(words, ", ") + ", never done)"
}

// draw writes the choreography as a Mermaid flowchart. Edges that were never taken are dotted and red.
func (c *covered) draw(p *printer) {
	edges := c.report.Edges()
	types, modules := map[string]string{}, map[string][]string{}
	for _, e := range edges {
		types[e.Type] = ""
	}
	p.line("flowchart LR")
	for i, t := range slices.Sorted(maps.Keys(types)) {
		types[t] = fmt.Sprintf("e%d", i)
		p.line("  %s([%s])", types[t], mermaidText(t))
	}
	for name := range c.Subscriptions {
		modules[moduleOf(name)] = append(modules[moduleOf(name)], name)
	}
	ids := map[string]string{}
	for i, module := range slices.Sorted(maps.Keys(modules)) {
		p.line("  subgraph m%d [%s]", i, mermaidText(module))
		for _, name := range slices.Sorted(slices.Values(modules[module])) {
			ids[name] = fmt.Sprintf("s%d", len(ids))
			p.line("    %s[%s]", ids[name], mermaidText(strings.TrimPrefix(name, module+"/")))
		}
		p.line("  end")
	}
	var never []string
	for i, e := range edges {
		from, to := types[e.Type], ids[e.Subscription]
		if e.Emitted {
			from, to = to, from
		}
		if e.Count > 0 {
			p.line("  %s -->|%d| %s", from, e.Count, to)
			continue
		}
		p.line("  %s -.->|never| %s", from, to)
		never = append(never, fmt.Sprint(i))
	}
	if len(never) > 0 {
		p.line("  linkStyle %s stroke:#d33,color:#d33", strings.Join(never, ","))
	}
}

// mermaidText returns text as the label of a node, with special characters escaped.
func mermaidText(text string) string {
	return `"` + strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "`", "#96;").Replace(printable(text)) + `"`
}
