// Package sequence draws flows as sequence diagrams in the language of Mermaid.
package sequence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// outsideWorld emits events from outside of the bus, and receives events without reactions.
const outsideWorld = "outside"

// sequence is a diagram under construction.
type sequence struct {
	flow    *journal.Flow
	actors  []string // in order of appearance
	lines   []string
	drawn   []bool                           // by event
	emitted map[cause][]int                  // event numbers
	delayed map[cause][]journal.DelayedEvent // not due yet
}

// cause is the cause of an event: the reaction of a subscription to the event with this id.
type cause struct{ id, subscription string }

// Draw returns f as a diagram.
func Draw(f *journal.Flow) string {
	s := &sequence{
		flow: f, drawn: make([]bool, len(f.Events)), emitted: map[cause][]int{}, delayed: map[cause][]journal.DelayedEvent{},
	}
	known := map[cause]bool{}
	for _, e := range f.Events {
		for _, r := range e.Reactions {
			known[cause{e.ID, r.Subscription}] = true
		}
	}
	causeOf := func(c cause) cause { // an event without a known cause is a beginning
		if known[c] {
			return c
		}
		return cause{}
	}
	for i, e := range f.Events {
		c := causeOf(cause{e.CausationID, e.Subscription})
		s.emitted[c] = append(s.emitted[c], i)
	}
	for _, d := range f.Delayed {
		c := causeOf(cause{d.CausationID, d.Subscription})
		s.delayed[c] = append(s.delayed[c], d)
	}
	s.below(cause{})
	for i := range f.Events { // events in a circle have no beginning
		s.event(i)
	}
	return s.String()
}

// below draws the events that c emitted.
func (s *sequence) below(c cause) {
	for _, i := range s.emitted[c] {
		s.event(i)
	}
	for _, d := range s.delayed[c] {
		module := journal.ModuleOf(d.Subscription)
		if module == "" && len(s.flow.Events) > 0 {
			module = s.flow.Events[0].Source // the module of the first event is the best guess
		}
		s.lines = append(s.lines, fmt.Sprintf("Note over %s: %s is to come", s.actor(module), plainText(d.Type)))
	}
}

// event draws event i to all reacting modules, and then the consequences.
func (s *sequence) event(i int) {
	if s.drawn[i] {
		return
	}
	s.drawn[i] = true
	e := &s.flow.Events[i]
	from, name := s.actor(e.Source), plainText(e.Type)
	if e.Version != 1 {
		name += fmt.Sprintf(" v%d", e.Version)
	}
	reactions := slices.Clone(e.Reactions)
	slices.SortFunc(reactions, func(a, b journal.Reaction) int { return cmp.Compare(a.Subscription, b.Subscription) })
	for _, r := range reactions {
		module := journal.ModuleOf(r.Subscription)
		arrow, label := "->>", strings.TrimPrefix(r.Subscription, module+"/")
		switch r.Outcome {
		case journal.Done:
		case journal.Dead, journal.Dropped:
			arrow, label = "-x", fmt.Sprintf("%s: %s", label, r.Outcome)
		default:
			arrow, label = "-->>", fmt.Sprintf("%s: %s", label, r.Outcome)
		}
		s.lines = append(s.lines, fmt.Sprintf("%s%s%s: %s (%s)", from, arrow, s.actor(module), name, plainText(label)))
	}
	if len(reactions) == 0 {
		s.lines = append(s.lines, fmt.Sprintf("%s->>%s: %s", from, s.actor(""), name))
	}
	for _, r := range reactions {
		s.below(cause{e.ID, r.Subscription})
	}
}

// actor returns the diagram's name for a module, and adds a new module to the participants. "" means outside.
func (s *sequence) actor(module string) string {
	module = cmp.Or(module, outsideWorld)
	if !slices.Contains(s.actors, module) {
		s.actors = append(s.actors, module)
	}
	return alias(module)
}

// mermaidWords are the words that Mermaid's parser rejects as names, according to a test with the parser.
var mermaidWords = []string{
	"accdescr", "acctitle", "activate", "actor", "alt", "and", "autonumber", "box", "break", "create", "critical", "deactivate", "destroy",
	"details", "else", "end", "link", "links", "loop", "note", "opt", "option", "over", "par", "par_over", "participant", "properties",
	"rect", "title",
}

// alias returns a module's name in characters that Mermaid accepts. A dash would begin an arrow.
func alias(module string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, module)
	if slices.Contains(mermaidWords, strings.ToLower(name)) {
		name += "_"
	}
	return name
}

// plainText removes line ends from a text, and encodes the characters that begin or end an entity.
func plainText(text string) string {
	return strings.NewReplacer("#", "#35;", ";", "#59;", "\n", " ", "\r", " ").Replace(text)
}

// String returns the whole diagram.
func (s *sequence) String() string {
	var b strings.Builder
	b.WriteString("sequenceDiagram\n")
	for _, module := range s.actors {
		if name := alias(module); name != module {
			fmt.Fprintf(&b, "    participant %s as %s\n", name, plainText(module))
		} else {
			fmt.Fprintf(&b, "    participant %s\n", module)
		}
	}
	for _, line := range s.lines {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return b.String()
}
