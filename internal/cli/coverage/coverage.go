// Package coverage prints which edges of a choreography and which faults tests have exercised.
package coverage

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/cover"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/term"
)

// Printer prints lines.
type Printer interface {
	// Line prints a formatted line.
	Line(format string, args ...any)
	// Paint returns text in a colour, if the output has colours.
	Paint(color, text string) string
}

// Covered is a summary of a report.
type Covered struct {
	Percent       float64                        `json:"percent"` // of the edges
	Covered       int                            `json:"covered"`
	Edges         int                            `json:"edges"`
	NeverTaken    []cover.Edge                   `json:"never_taken"` // never nil
	NeverMet      map[string][]cover.Fault       `json:"never_met"`   // by subscription; never nil
	Subscriptions map[string]*cover.Subscription `json:"subscriptions"`

	report *cover.Report
}

// New returns the summary of r.
func New(r *cover.Report) *Covered {
	c := &Covered{
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

// Percent rounds down: 100 % means that no edge is missing.
func Percent(p float64) string { return fmt.Sprintf("%.1f %%", math.Floor(p*10)/10) }

// Text prints c for people.
func (c *Covered) Text(p Printer) {
	color := term.Red
	if len(c.NeverTaken) == 0 {
		color = term.Green
	}
	p.Line("%s", p.Paint(color, fmt.Sprintf("%s covered: %d of %s", Percent(c.Percent), c.Covered, edges(c.Edges))))
	if len(c.NeverTaken) > 0 {
		p.Line("\nnever taken")
	}
	module := ""
	for _, e := range c.NeverTaken {
		if m := journal.ModuleOf(e.Subscription); m != module {
			module = m
			p.Line("  %s", journal.Printable(m))
		}
		p.Line("    %s%s", p.Paint(term.Red, journal.Printable(arrow(&e))), insteadOf(&e))
	}
	if len(c.NeverMet) == 0 {
		return
	}
	p.Line("\nfaults never met")
	names := slices.Sorted(maps.Keys(c.NeverMet))
	width := len(slices.MaxFunc(names, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
	for _, name := range names {
		p.Line("  %-*s  %s", width, journal.Printable(name), c.neverMet(name))
	}
}

// edges returns "1 edge" or "2 edges".
func edges(n int) string {
	if n == 1 {
		return "1 edge"
	}
	return fmt.Sprintf("%d edges", n)
}

// neverMet returns the faults that a subscription never met, as text.
func (c *Covered) neverMet(name string) string {
	if len(c.Subscriptions[name].Faults) == 0 {
		return "any"
	}
	var words []string
	for _, f := range c.NeverMet[name] {
		words = append(words, strings.ReplaceAll(string(f), "-", " "))
	}
	return strings.Join(words, ", ")
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
		words = append(words, fmt.Sprintf("%s %d times", journal.Printable(outcome), e.Outcomes[outcome]))
	}
	if len(words) == 0 {
		return ""
	}
	return "  (" + strings.Join(words, ", ") + ", never done)"
}

// Draw prints the choreography as a Mermaid flowchart. Edges that were never taken are dotted and red.
func (c *Covered) Draw(p Printer) {
	all := c.report.Edges()
	types, modules := map[string]string{}, map[string][]string{}
	for _, e := range all {
		types[e.Type] = ""
	}
	p.Line("flowchart LR")
	for i, t := range slices.Sorted(maps.Keys(types)) {
		types[t] = fmt.Sprintf("e%d", i)
		p.Line("  %s([%s])", types[t], mermaidText(t))
	}
	for name := range c.Subscriptions {
		modules[journal.ModuleOf(name)] = append(modules[journal.ModuleOf(name)], name)
	}
	ids := map[string]string{}
	for i, module := range slices.Sorted(maps.Keys(modules)) {
		p.Line("  subgraph m%d [%s]", i, mermaidText(module))
		for _, name := range slices.Sorted(slices.Values(modules[module])) {
			ids[name] = fmt.Sprintf("s%d", len(ids))
			p.Line("    %s[%s]", ids[name], mermaidText(strings.TrimPrefix(name, module+"/")))
		}
		p.Line("  end")
	}
	var never []string
	for i, e := range all {
		from, to := types[e.Type], ids[e.Subscription]
		if e.Emitted {
			from, to = to, from
		}
		if e.Count > 0 {
			p.Line("  %s -->|%d| %s", from, e.Count, to)
			continue
		}
		p.Line("  %s -.->|never| %s", from, to)
		never = append(never, fmt.Sprint(i))
	}
	if len(never) > 0 {
		p.Line("  linkStyle %s stroke:#d33,color:#d33", strings.Join(never, ","))
	}
}

// mermaidText returns text as the label of a node, with special characters escaped.
func mermaidText(text string) string {
	return `"` + strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "`", "#96;").Replace(journal.Printable(text)) + `"`
}
