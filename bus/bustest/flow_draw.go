package bustest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// difference is between a flow and what was wanted of it. At the top of a failure stand the lines of what is missing (-)
// and of what is too much (+); below it the flow is drawn, and in its margin is said what is too much (+), almost
// what is missing (~), wrong in another way (!), or part of what was found (=).
type difference struct {
	*Flow
	missing []string
	more    []string
	marks   map[spot]flowMark
	free    []bool // by event: it was found for nobody
}

// spot is a line of the tree: of an event, with -1, or of its reaction of that number.
type spot struct{ event, reaction int }

type flowMark struct {
	sign rune
	note string
}

func (f *Flow) difference() *difference {
	d := &difference{Flow: f, marks: map[spot]flowMark{}, free: make([]bool, len(f.flow.Events))}
	for i := range d.free {
		d.free[i] = true
	}
	return d
}

// mark marks a line. The first mark of a line stays, but that what is too much is more than what is almost right.
func (d *difference) mark(event, reaction int, sign rune, note string) {
	at := spot{event, reaction}
	if m, ok := d.marks[at]; ok {
		if m.sign != '~' || sign != '+' {
			return
		}
		note += ", or almost what is missing: " + m.note
	}
	d.marks[at] = flowMark{sign, note}
}

// miss notes what is missing, and where.
func (d *difference) miss(w wantedEvent, where string) {
	if slices.ContainsFunc(d.flow.Delayed, func(e journal.DelayedEvent) bool { return e.Type == w.eventType }) {
		where = strings.TrimPrefix(where+"; one of its type is still to come", "; ")
	}
	if where != "" {
		where = "  (" + where + ")"
	}
	d.missing = append(d.missing, w.text+where)
}

// tooMuch notes that event i is.
func (d *difference) tooMuch(i int) {
	e := &d.flow.Events[i]
	text := e.Type
	if e.Version != 1 {
		text += fmt.Sprintf(" v%d", e.Version)
	}
	d.more = append(d.more, strings.TrimSpace(text+" "+short(canonical(e.Data))))
	d.mark(i, -1, '+', "too much")
}

// nearMisses marks the events that have w's type, and are for nobody else, with what they lack.
func (d *difference) nearMisses(w wantedEvent) {
	for i := range d.flow.Events {
		e := &d.flow.Events[i]
		if e.Type != w.eventType || !d.free[i] {
			continue
		}
		if lacks := w.differs(e); len(lacks) > 0 {
			d.mark(i, -1, '~', strings.Join(lacks, ", "))
		}
	}
}

// fail fails the test with everything that was noted.
func (d *difference) fail(format string, args ...any) {
	d.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "flow %s: "+format+"\n", append([]any{d.flow.ID}, args...)...)
	for _, line := range d.missing {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, line := range d.more {
		fmt.Fprintf(&b, "+ %s\n", line)
	}
	b.WriteString("\n" + d.tree())
	d.t.Errorf("%s", b.String())
}

// numbered finds the number that a line was given to be known by.
var numbered = regexp.MustCompile(`⟦(\d+)\.(-?\d+)⟧`)

// tree draws the flow with marks in the margin.
func (d *difference) tree() string {
	var drawn strings.Builder
	if err := d.numbers().WriteTree(&drawn, journal.TreeOptions{}); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for line := range strings.Lines(drawn.String()) {
		line = strings.TrimSuffix(line, "\n")
		m := flowMark{sign: ' '}
		if at := numbered.FindStringSubmatchIndex(line); at != nil {
			event, _ := strconv.Atoi(line[at[2]:at[3]]) // both are digits
			reaction, _ := strconv.Atoi(line[at[4]:at[5]])
			line = line[:at[0]] + line[at[1]:]
			if marked, ok := d.marks[spot{event, reaction}]; ok {
				m = marked
			}
		}
		fmt.Fprintf(&b, "%c %s", m.sign, line)
		if m.note != "" {
			fmt.Fprintf(&b, "   <-- %s", m.note)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// numbers is the flow with a number in each name, by which the lines of the tree are known again: the drawing stays the
// journal's own.
func (d *difference) numbers() *journal.Flow {
	name := func(event, reaction int, text string) string {
		return fmt.Sprintf("⟦%d.%d⟧%s", event, reaction, text)
	}
	out := *d.flow
	out.Events = slices.Clone(out.Events)
	out.Delayed = slices.Clone(out.Delayed)
	emitter := func(cause, subscription string) string {
		for i := range d.flow.Events {
			if d.flow.Events[i].ID != cause {
				continue
			}
			for j, r := range d.flow.Events[i].Reactions {
				if r.Subscription == subscription {
					return name(i, j, subscription)
				}
			}
		}
		return subscription
	}
	for i := range out.Events {
		e := &out.Events[i]
		e.Type, e.Subscription = name(i, -1, e.Type), emitter(e.CausationID, e.Subscription)
		e.Reactions = slices.Clone(e.Reactions)
		for j := range e.Reactions {
			e.Reactions[j].Subscription = name(i, j, e.Reactions[j].Subscription)
		}
	}
	for i := range out.Delayed {
		out.Delayed[i].Subscription = emitter(out.Delayed[i].CausationID, out.Delayed[i].Subscription)
	}
	return &out
}
