package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupebus/troupe/internal/bench/work"
)

// Report has the results of a run, and describes the machine.
type Report struct {
	Rows         []Row    `json:"rows"`
	Figures      []Figure `json:"figures"` // details of the rows
	Machine      Machine  `json:"machine"`
	Broker       string   `json:"broker,omitempty"` // the broker of the run, if any
	Flows        int64    `json:"flows"`            // measured in each run
	Rounds       int      `json:"rounds"`
	Reactions    int      `json:"reactions"` // of a flow
	Publishers   int      `json:"publishers"`
	PayloadBytes int      `json:"payload_bytes"`
}

// Row is a measurement with an optional target.
type Row struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"` // the median
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Unit   string  `json:"unit"`
	Target string  `json:"target"` // such as "≥ 0.6"; "" without a target
	Met    *bool   `json:"met"`    // nil without a target
}

// Figure is a number that was measured several times.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Runs   []float64 `json:"runs"` // in the order of the runs
}

// goal is a target: an upper or a lower limit. The zero goal is no target.
type goal struct {
	sign  string
	limit float64
}

var noGoal goal

func atLeast(limit float64) goal { return goal{"≥", limit} }
func atMost(limit float64) goal  { return goal{"≤", limit} }

func (g goal) met(v float64) bool {
	if g.sign == "≥" {
		return v >= g.limit
	}
	return v <= g.limit
}

// row adds a row for runs, which must not be empty, and goal g.
func (r *Report) row(name, unit string, runs []float64, g goal) {
	row := Row{Name: name, Unit: unit, Value: median(runs), Min: slices.Min(runs), Max: slices.Max(runs)}
	if g != noGoal {
		met := g.met(row.Value)
		row.Target, row.Met = fmt.Sprintf("%s %v", g.sign, g.limit), &met
	}
	r.Rows = append(r.Rows, row)
}

func (r *Report) figure(name, unit string, runs []float64) {
	r.Figures = append(r.Figures, Figure{name, unit, median(runs), slices.Min(runs), slices.Max(runs), runs})
}

// measured adds a row for a figure of several runs.
func (r *Report) measured(name, unit string, runs []work.Figures, figure string, g goal) error {
	values, err := all(runs, figure)
	if err != nil {
		return fmt.Errorf("bench: %s: %w", name, err)
	}
	r.row(name, unit, values, g)
	return nil
}

// all returns a figure of every run.
func all(runs []work.Figures, figure string) ([]float64, error) {
	values := make([]float64, len(runs))
	for i, f := range runs {
		var err error
		if values[i], err = f.Get(figure); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// ratios divides run by run.
func ratios(over, under []float64) []float64 {
	out := make([]float64, len(over))
	for i := range over {
		out[i] = over[i] / under[i]
	}
	return out
}

// median returns the middle value of v, or the mean of the two middle values. v must not be empty.
func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// WriteMarkdown writes r as tables, and describes the machine.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| measured | value | target | met |\n|---|---:|---|---|\n")
	for _, row := range r.Rows {
		target, met := "–", "–"
		if row.Met != nil {
			target, met = row.Target+" "+row.Unit, "no"
			if *row.Met {
				met = "yes"
			}
		}
		fmt.Fprintf(&b, "| %s | %s %s%s | %s | %s |\n", row.Name, number(row.Value), row.Unit, between(row.Min, row.Max), target, met)
	}
	if len(r.Figures) > 0 {
		b.WriteString("\n| figure | median | least | greatest |\n|---|---:|---:|---:|\n")
		for _, f := range r.Figures {
			fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", f.Name, number(f.Median), f.Unit, number(f.Min), number(f.Max))
		}
	}
	fmt.Fprintf(&b, "\n%d reactions a flow, %d bytes an event, %d publishers, %s flows a run, every run in a process of its own; values are the median of their runs (least to greatest).\n\n%s.\n",
		r.Reactions, r.PayloadBytes, r.Publishers, number(float64(r.Flows)), r.Machine)
	if r.Broker != "" {
		fmt.Fprintf(&b, "\nBroker: %s; %d partitions a topic.\n", r.Broker, work.Partitions)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func between(least, greatest float64) string {
	if least == greatest {
		return ""
	}
	return fmt.Sprintf(" (%s–%s)", number(least), number(greatest))
}

// number formats v with three significant digits, or with all digits before the decimal point.
func number(v float64) string {
	decimals := 0
	for limit := 100.0; decimals < 5 && v != 0 && v < limit; limit /= 10 {
		decimals++
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	for i := len(s) - 3; decimals == 0 && i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// text lists the figures by name.
func text(f work.Figures) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, name+" "+number(f[name]))
	}
	return strings.Join(parts, ", ")
}
