package moves

import (
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

// A subscription of types of two modules has no order when these are on two topics.
func TestSplitCheckReportsALostOrder(t *testing.T) {
	t.Parallel()
	p := &journal.Program{
		Events: []journal.ProgramEvent{{Type: "opened", Emitter: "bank"}, {Type: "moved", Emitter: "mail"}},
		Subscriptions: []journal.ProgramSubscription{
			{Name: "desk/two", Consumes: journal.Types{"moved", "opened"}},
			{Name: "desk/any", Consumes: journal.Types{"moved", "opened"}, AnyOrder: true},
		},
	}
	for _, c := range []struct {
		modules []string
		lost    int
	}{{nil, 1}, {[]string{"desk"}, 1}, {[]string{"bank"}, 1}, {[]string{"desk", "bank", "mail"}, 0}} {
		var r splitReport
		if err := r.about(p, c.modules); err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != c.lost {
			t.Errorf("%q apart: %+v", c.modules, r.Findings)
		}
		for _, f := range r.Findings {
			if !f.Error || f.What != "the order of two modules lost on the wire" || f.Where != "desk/two, of events from bank, mail" {
				t.Errorf("%q apart: %+v", c.modules, f)
			}
		}
	}
}
