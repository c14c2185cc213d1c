package journal_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

// A single type is a string, as older programs have written it.
func TestTypesInJSON(t *testing.T) {
	t.Parallel()
	for text, types := range map[string]journal.Types{`"a.b"`: {"a.b"}, `["a.b","c.d"]`: {"a.b", "c.d"}, `[]`: {}} {
		var got journal.Types
		if err := json.Unmarshal([]byte(text), &got); err != nil || !slices.Equal(got, types) {
			t.Errorf("%s is %q, %v", text, got, err)
		}
		if data, err := json.Marshal(types); err != nil || string(data) != text {
			t.Errorf("%q is %s, %v", types, data, err)
		}
	}
}

func TestTorn(t *testing.T) {
	t.Parallel()
	p := &journal.Program{
		Events: []journal.ProgramEvent{{Type: "opened", Emitter: "bank"}, {Type: "closed", Emitter: "bank"}, {Type: "moved", Emitter: "mail"}},
		Subscriptions: []journal.ProgramSubscription{
			{Name: "desk/one", Consumes: journal.Types{"closed", "opened"}},
			{Name: "desk/two", Consumes: journal.Types{"moved", "opened"}},
			{Name: "desk/any", Consumes: journal.Types{"moved", "opened"}, AnyOrder: true},
		},
	}
	two := []journal.Torn{{Subscription: "desk/two", Emitters: []string{"bank", "mail"}}}
	for _, c := range []struct {
		apart []string // modules in a process of their own
		want  []journal.Torn
	}{{nil, nil}, {[]string{"bank", "mail", "desk"}, nil}, {[]string{"bank"}, two}, {[]string{"desk"}, two}, {[]string{"desk", "mail"}, two}} {
		got := p.Torn(func(a, b string) bool { return slices.Contains(c.apart, a) == slices.Contains(c.apart, b) })
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q apart: %+v, want %+v", c.apart, got, c.want)
		}
	}
}
