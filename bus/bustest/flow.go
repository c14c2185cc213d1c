package bustest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest/internal/text"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/journal"
)

// Flow is the history of a correlation id. Each method checks a statement about the flow. A false statement fails the
// test with the flow as a tree, in which the difference is marked; the test goes on with the next statement.
//
// Wanted events are written like events: a field with the zero value matches any value; every other field must be
// equal, a struct, a slice or a map as a whole. An empty slice that is not nil matches only an empty slice, and a
// pointer to zero only zero. The type and its version must be equal. Delayed events that are not due yet do not count.
type Flow struct {
	t    testing.TB
	flow *journal.Flow
	keys encrypt.Keys // of encrypted payloads
}

// Flow waits for quiet, and returns the flow called id: the name from Correlate, or the id from Do or Publish. Without
// such a flow, the test ends with a list of all ids. Later events are not part of the result.
func (c *core) Flow(id string) *Flow {
	c.t.Helper()
	c.Quiet()
	flows, err := c.Flows()
	if err != nil {
		c.t.Fatalf("bustest: read the flows: %v", err)
	}
	known := make([]string, 0, len(flows))
	for _, f := range flows {
		if f.ID == id {
			return &Flow{t: c.t, flow: f, keys: c.cfg.Keys}
		}
		known = append(known, fmt.Sprintf("%q", f.ID))
	}
	c.t.Fatalf("there is no flow %q; there are %d: %s", id, len(known), strings.Join(known, ", "))
	return FlowOf(c.t, &journal.Flow{ID: id})
}

// FlowOf returns a Flow for a flow from another source, such as the journal of a program elsewhere. False statements
// fail t. The Flow has no keys: statements about fields of encrypted events are false.
func FlowOf(t testing.TB, f *journal.Flow) *Flow { return &Flow{t: t, flow: f} }

// Events returns the events with their reactions, in the order of the log, for checks without a method here.
func (f *Flow) Events() []journal.FlowEvent { return f.flow.Events }

// AtLeast checks that the flow has all wanted events, and may have others. Two equal wanted events need two events.
func (f *Flow) AtLeast(events ...bus.Event) *Flow {
	f.t.Helper()
	if d := f.compare(f.wanted(events)); len(d.missing) > 0 {
		d.fail("AtLeast finds %s missing", text.Plural(len(d.missing), "event"))
	}
	return f
}

// Exactly checks that the flow has all wanted events and no others, in any order.
func (f *Flow) Exactly(events ...bus.Event) *Flow {
	f.t.Helper()
	d := f.compare(f.wanted(events))
	for i, free := range d.free {
		if free {
			d.tooMuch(i)
		}
	}
	switch missing, more := text.Plural(len(d.missing), "event"), text.Plural(len(d.more), "event"); {
	case len(d.missing) > 0 && len(d.more) > 0:
		d.fail("Exactly finds %s missing, and %s too much", missing, more)
	case len(d.missing) > 0:
		d.fail("Exactly finds %s missing", missing)
	case len(d.more) > 0:
		d.fail("Exactly finds %s too much", more)
	}
	return f
}

// InOrder checks that the log has the wanted events in this order. Other events may lie in between.
func (f *Flow) InOrder(events ...bus.Event) *Flow {
	f.t.Helper()
	wanted := f.wanted(events)
	d, at := f.difference(), 0
	for i, w := range wanted {
		next := slices.IndexFunc(f.flow.Events[at:], func(e journal.FlowEvent) bool { return w.matches(&e) })
		if next >= 0 {
			at += next + 1
			d.mark(at-1, -1, '=', fmt.Sprintf("number %d", i+1))
			continue
		}
		after := ""
		if i > 0 {
			after = "after " + wanted[i-1].text
		}
		d.miss(w, after)
		for j := range f.flow.Events[:at] {
			if w.matches(&f.flow.Events[j]) {
				d.mark(j, -1, '!', "too early")
			}
		}
		d.nearMisses(w)
		d.fail("InOrder finds number %d of %d missing", i+1, len(wanted))
		break
	}
	return f
}

// Causes checks for a chain: each wanted event was emitted by a reaction to the previous wanted event.
func (f *Flow) Causes(events ...bus.Event) *Flow {
	f.t.Helper()
	wanted := f.wanted(events)
	chain := f.chain(wanted, nil)
	if len(chain) == len(wanted) {
		return f
	}
	d, next, under, before := f.difference(), wanted[len(chain)], "", ""
	for i, at := range chain {
		d.mark(at, -1, '=', fmt.Sprintf("number %d", i+1))
	}
	if len(chain) > 0 {
		before = wanted[len(chain)-1].eventType
		under = "caused by " + wanted[len(chain)-1].text
	}
	d.miss(next, under)
	for i := range f.flow.Events {
		if next.matches(&f.flow.Events[i]) {
			d.mark(i, -1, '!', f.cause(i, before))
		}
	}
	d.nearMisses(next)
	d.fail("Causes finds number %d of %d missing", len(chain)+1, len(wanted))
	return f
}

// chain returns the longest part of wanted, from the start, that exists as a chain of causes and begins with prefix.
func (f *Flow) chain(wanted []wantedEvent, prefix []int) []int {
	best := prefix
	if len(prefix) == len(wanted) {
		return best
	}
	for i := range f.flow.Events {
		e := &f.flow.Events[i]
		follows := len(prefix) == 0 || e.CausationID == f.flow.Events[prefix[len(prefix)-1]].ID
		if !follows || slices.Contains(prefix, i) || !wanted[len(prefix)].matches(e) {
			continue
		}
		if found := f.chain(wanted, append(slices.Clone(prefix), i)); len(found) > len(best) {
			best = found
		}
		if len(best) == len(wanted) {
			break
		}
	}
	return best
}

// cause describes the actual cause of event i, while the wanted cause has the type before.
func (f *Flow) cause(i int, before string) string {
	e := &f.flow.Events[i]
	if e.CausationID == "" {
		return "a beginning, without a cause"
	}
	for j := range f.flow.Events {
		switch c := &f.flow.Events[j]; {
		case c.ID == e.CausationID && c.Type == before:
			return "caused by another " + c.Type
		case c.ID == e.CausationID:
			return "caused by " + c.Type
		}
	}
	return "caused by an event of another flow"
}

// Never checks that the flow has no such event.
func (f *Flow) Never(events ...bus.Event) *Flow {
	f.t.Helper()
	d := f.difference()
	for _, w := range f.wanted(events) {
		for i := range f.flow.Events {
			if w.matches(&f.flow.Events[i]) && d.marks[spot{i, -1}].sign == 0 {
				d.tooMuch(i)
			}
		}
	}
	if len(d.more) > 0 {
		d.fail("Never finds %s", text.Plural(len(d.more), "event"))
	}
	return f
}

// Outcome checks that subscription has a reaction in the flow, and that each of its reactions has the outcome o.
func (f *Flow) Outcome(subscription string, o journal.Outcome) *Flow {
	f.t.Helper()
	d, all, others := f.difference(), 0, 0
	for i := range f.flow.Events {
		for j, r := range f.flow.Events[i].Reactions {
			if r.Subscription != subscription {
				continue
			}
			all++
			if r.Outcome != o {
				others++
				d.mark(i, j, '!', "not "+string(o))
			}
		}
	}
	switch {
	case all == 0:
		d.missing = append(d.missing, fmt.Sprintf("%s  %s", subscription, o))
		d.fail("Outcome finds no reaction of %s", subscription)
	case others > 0:
		d.fail("Outcome finds %d of %s of %s not %s", others, text.Plural(all, "reaction"), subscription, o)
	}
	return f
}
