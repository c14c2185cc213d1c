package bustest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// difference is the difference between a flow and the wanted events. A failure begins with the missing events (-) and
// the unwanted events (+). Then comes the tree of the flow, with marks in the margin: unwanted (+), almost a missing
// event (~), wrong in another way (!), and part of the found events (=).
type difference struct {
	*Flow
	missing []string
	more    []string
	marks   map[spot]flowMark
	free    []bool // by event: not matched with a wanted event
}

// spot is a line of the tree: an event if reaction is -1, else the event's reaction with this number.
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

// mark marks a line. The first mark stays, but + replaces ~.
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

// miss notes a missing event, and its wanted position.
func (d *difference) miss(w wantedEvent, where string) {
	if slices.ContainsFunc(d.flow.Delayed, func(e journal.DelayedEvent) bool { return e.Type == w.eventType }) {
		where = strings.TrimPrefix(where+"; an event of this type is delayed", "; ")
	}
	if where != "" {
		where = "  (" + where + ")"
	}
	d.missing = append(d.missing, w.text+where)
}

// tooMuch notes event i as unwanted.
func (d *difference) tooMuch(i int) {
	e := &d.flow.Events[i]
	text := e.Type
	if e.Version != 1 {
		text += fmt.Sprintf(" v%d", e.Version)
	}
	d.more = append(d.more, strings.TrimSpace(text+" "+journal.Clip(cmp.Or(e.Payload(), canonical(e.Data)), maxShown)))
	d.mark(i, -1, '+', "too much")
}

// nearMisses marks unmatched events of w's type with their differences from w.
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

// fail fails the test with all notes.
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

// numbered matches the number that identifies a line.
var numbered = regexp.MustCompile(`⟦(\d+)\.(-?\d+)⟧`)

// tree returns the drawing of the flow, with marks in the margin.
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

// numbers returns the flow with a number in each name. The numbers identify the lines of the journal's own drawing.
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
