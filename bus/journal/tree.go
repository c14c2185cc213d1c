package journal

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// TreeOptions configure the drawing of a flow. The zero value is plain text.
type TreeOptions struct {
	Color bool      // use ANSI colors: done green, dead red, open yellow, skipped dim
	Now   time.Time // the present, for texts such as "in 3s". Defaults to the time of the call
}

// treeDepth limits the depth of a branch. Deeper reactions are drawn below, at the left, so that the size of a drawing
// grows with the length of a chain and not with its square.
const treeDepth = 24

// WriteTree draws the flow as a tree: each event with its key and the time since the start of the flow, below each
// event the reactions, and below each reaction the emitted events. An event without a cause in the flow is a root. The
// same flow gives the same text, except for the times until an event or an attempt is due.
func (f *Flow) WriteTree(w io.Writer, o TreeOptions) error {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	t := &tree{Writer: bufio.NewWriter(w), o: o, flow: f, below: map[parent][]node{}, drawn: make([]bool, len(f.Events))}
	t.summary()
	for _, root := range t.arrange() {
		t.draw(root)
	}
	for i := range f.Events { // events in a circle of causes have no root
		t.draw(node{event: i})
	}
	if f.Omitted > 0 {
		_, _ = fmt.Fprintf(t, "%s more, not shown\n", plural(int(f.Omitted), "event"))
	}
	return t.Flush()
}

// tree is a drawing in progress. The bufio.Writer keeps errors until Flush.
type tree struct {
	*bufio.Writer
	o     TreeOptions
	flow  *Flow
	below map[parent][]node
	drawn []bool // events
}

// parent is where events hang: at the reaction with that number or, with -1, at the event itself.
type parent struct{ event, reaction int }

// node is a line of the drawing: an event, a reaction, or a delayed event.
type node struct {
	event    int
	reaction *Reaction
	number   int // of the reaction
	delayed  *DelayedEvent

	prefix, indent string // prefixes of the line of the node, and of the lines below
	depth          int
}

// arrange puts each event below its cause, and returns the events without a cause.
func (t *tree) arrange() (roots []node) {
	byID := map[string][]int{}
	for i := range t.flow.Events {
		byID[t.flow.Events[i].ID] = append(byID[t.flow.Events[i].ID], i)
	}
	hang := func(n node, cause, subscription string) {
		if p, ok := t.parentOf(byID[cause], subscription); ok {
			t.below[p] = append(t.below[p], n)
		} else {
			roots = append(roots, n)
		}
	}
	for i := range t.flow.Events {
		e := &t.flow.Events[i]
		hang(node{event: i}, e.CausationID, e.Subscription)
	}
	for _, delayed := range [][]DelayedEvent{t.flow.Delayed, t.flow.Cancelled} {
		for i := range delayed {
			hang(node{delayed: &delayed[i]}, delayed[i].CausationID, delayed[i].Subscription)
		}
	}
	return roots
}

// parentOf returns the parent of an event that subscription emitted. There may be several causes, because messages of
// different topics may share an id.
func (t *tree) parentOf(causes []int, subscription string) (parent, bool) {
	for _, i := range causes {
		for j := range t.flow.Events[i].Reactions {
			if t.flow.Events[i].Reactions[j].Subscription == subscription {
				return parent{i, j}, true
			}
		}
	}
	if len(causes) == 0 {
		return parent{}, false
	}
	return parent{causes[0], -1}, true
}

// draw draws root and all nodes below. draw keeps a stack instead of recursion: a chain of causes may have any length.
func (t *tree) draw(root node) {
	if root.delayed == nil && t.drawn[root.event] {
		return
	}
	todo := []node{root}
	var deep []node
	for len(todo) > 0 || len(deep) > 0 {
		if len(todo) == 0 {
			todo, deep = append(todo, node{event: deep[0].event}), deep[1:]
		}
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		note := ""
		switch {
		case n.reaction != nil || n.delayed != nil:
		case t.drawn[n.event]:
			note = " (see above)"
		case n.depth > treeDepth:
			note = " (goes on below)"
			deep = append(deep, n)
		}
		t.line(n, note)
		if note != "" {
			continue
		}
		children := t.children(n)
		for i := len(children) - 1; i >= 0; i-- {
			c := children[i]
			c.prefix, c.indent, c.depth = n.indent+"├─ ", n.indent+"│  ", n.depth+1
			if i == len(children)-1 {
				c.prefix, c.indent = n.indent+"└─ ", n.indent+"   "
			}
			todo = append(todo, c)
		}
	}
}

// children returns the nodes directly below n.
func (t *tree) children(n node) []node {
	switch {
	case n.delayed != nil:
		return nil
	case n.reaction != nil:
		return t.below[parent{n.event, n.number}]
	}
	t.drawn[n.event] = true
	var out []node
	for i := range t.flow.Events[n.event].Reactions {
		out = append(out, node{event: n.event, reaction: &t.flow.Events[n.event].Reactions[i], number: i})
	}
	return append(out, t.below[parent{n.event, -1}]...)
}

// line writes the line of n.
func (t *tree) line(n node, note string) {
	text := ""
	switch {
	case n.delayed != nil:
		text = t.delayed(n.delayed)
	case n.reaction != nil:
		text = t.reaction(n.reaction)
	default:
		e := &t.flow.Events[n.event]
		text = fmt.Sprintf("%s  +%s", nameAndKey(e.Type, e.Key), shortDuration(e.Time.Sub(t.flow.Events[0].Time)))
		if e.CausationID == "" && e.Subscription != "" {
			text += "  by schedule " + oneLine(e.Subscription)
		}
		if about := e.Payload(); about != "" {
			text += "  (" + about + ")"
		}
	}
	_, _ = fmt.Fprintf(t, "%s%s%s\n", n.prefix, text, note)
}

func (t *tree) delayed(d *DelayedEvent) string {
	if !d.CancelledAt.IsZero() {
		return fmt.Sprintf("%s  %s", nameAndKey(d.Type, d.Key), t.paint(Dropped, "cancelled as "+oneLine(d.Name)))
	}
	return fmt.Sprintf("%s  %s", nameAndKey(d.Type, d.Key), t.paint(Waiting, t.when("to come", d.Due)))
}

// reaction returns the line of a reaction, such as "payment/charge  done in 31ms, 2 attempts".
func (t *tree) reaction(r *Reaction) string {
	what := string(r.Outcome)
	switch r.Outcome {
	case Done:
		what += " in " + shortDuration(r.Duration)
	case Retrying:
		what += ", " + t.when(fmt.Sprintf("attempt %d", r.Attempts+1), r.RetryAt)
	case Blocked:
		if r.BlockedBy > 0 {
			what += fmt.Sprintf(" by event %d", r.BlockedBy)
		} else { // a dead letter that waits for its replay
			what = "waiting for an attempt, next of its key"
		}
	case Dead:
		what += fmt.Sprintf(", dead letter %d", r.DeadLetter)
		if r.Parked {
			what += ", key parked"
		}
	}
	rest := ""
	if r.Attempts > 1 {
		rest = fmt.Sprintf(", %d attempts", r.Attempts)
	}
	switch {
	case r.Error == "" || r.Outcome == Done:
	case r.Outcome == Blocked:
		rest += "; failed before: " + oneLine(r.Error)
	default:
		rest += ": " + oneLine(r.Error)
	}
	return oneLine(r.Subscription) + "  " + t.paint(r.Outcome, what) + rest
}

// when returns "text in 3s (at 15:04:05Z)", or "text due now".
func (t *tree) when(text string, at time.Time) string {
	in := at.Sub(t.o.Now)
	if in <= 0 {
		return text + " due now"
	}
	layout := "15:04:05Z"
	if in > 12*time.Hour {
		layout = "2006-01-02 15:04Z"
	}
	return fmt.Sprintf("%s in %s (%s)", text, shortDuration(in), at.UTC().Format(layout))
}

// outcomeOrder is the order of outcomes in a summary, with the ANSI color of each.
var outcomeOrder = []struct {
	Outcome
	color string
}{
	{Done, "32"}, {Skipped, "2"}, {Dropped, "2"}, {Waiting, "33"}, {Retrying, "33"}, {Blocked, "33"}, {Dead, "31"},
}

func (t *tree) paint(o Outcome, text string) string {
	if t.o.Color {
		for _, c := range outcomeOrder {
			if c.Outcome == o {
				return "\x1b[" + c.color + "m" + text + "\x1b[0m"
			}
		}
	}
	return text
}

// summary writes the first line: "flow ord-1: 2 events in 12ms from 2010-12-01 08:26:00.000Z: 2 done, 1 dead".
func (t *tree) summary() {
	f := t.flow
	_, _ = fmt.Fprintf(t, "flow %s: %s", oneLine(f.ID), plural(len(f.Events), "event"))
	if len(f.Events) > 0 {
		first, last := f.Events[0].Time, f.Events[0].Time
		for i := range f.Events {
			last = later(last, f.Events[i].Time)
			for j := range f.Events[i].Reactions {
				r := &f.Events[i].Reactions[j]
				last = later(last, r.Started.Add(r.Duration))
			}
		}
		_, _ = fmt.Fprintf(t, " in %s from %s", shortDuration(last.Sub(first)), first.UTC().Format("2006-01-02 15:04:05.000Z"))
	}
	counts, separator := f.Outcomes(), ": "
	for _, o := range outcomeOrder {
		if n := counts[o.Outcome]; n > 0 {
			_, _ = t.WriteString(separator + t.paint(o.Outcome, fmt.Sprintf("%d %s", n, o.Outcome)))
			separator = ", "
		}
	}
	if n := len(f.Delayed); n > 0 {
		_, _ = fmt.Fprintf(t, "%s%d to come", separator, n)
		separator = ", "
	}
	if n := len(f.Cancelled); n > 0 {
		_, _ = fmt.Fprintf(t, "%s%d cancelled", separator, n)
	}
	_, _ = t.WriteString("\n")
}

func nameAndKey(name, key string) string {
	if key == "" {
		return oneLine(name)
	}
	return oneLine(name) + "  " + oneLine(key)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shortDuration rounds d to about three digits.
func shortDuration(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	}
	return d.String()
}

// maxText limits the length of a text in the drawing, in characters.
const maxText = 300

// oneLine returns text on a single line, shortened, and without control characters.
func oneLine(text string) string { return Clip(text, maxText) }
