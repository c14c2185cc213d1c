package story

import (
	"fmt"
	"strings"
)

// Finding is something that does not hold.
type Finding struct {
	Class string // of which kind: two findings of one class have one cause, mostly
	Text  string
}

// Story tells what s does and what came of it, with the line that replays it.
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
