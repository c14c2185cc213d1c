package story

import (
	"fmt"
	"strings"
)

// Finding is a promise that did not hold.
type Finding struct {
	Class string // kind of finding: two findings of a class mostly have the same cause
	Text  string
}

// Text returns the story of s: the findings, the steps, and the command that repeats the run.
func Text(s Schedule, findings []Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "torture: seed %d, kind %s:\n", s.Seed, s.Kind)
	for _, f := range findings {
		fmt.Fprintf(&b, "  %s: %s\n", f.Class, f.Text)
	}
	b.WriteString("what happened:\n")
	for i, step := range s.Steps {
		fmt.Fprintf(&b, "  %2d. %s\n", i+1, step)
	}
	fmt.Fprintf(&b, "replay it:\n  make torture REPLAY='%s'\n", s.Line())
	return b.String()
}
