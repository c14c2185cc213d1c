package keyorder_test

import (
	"reflect"
	"testing"

	"github.com/troupebus/troupe/bus/internal/keyorder"
)

func TestUnordered(t *testing.T) {
	t.Parallel()
	emitters := map[string]string{"opened": "bank", "closed": "bank", "paid": "shop", "checked": "mail", "accepted": "bank"}
	on := func(name string, types, emits []string) keyorder.Subscription {
		return keyorder.Subscription{Name: "mail/" + name, Module: "mail", Types: types, Emits: emits}
	}
	opened, closed := on("opened", []string{"opened"}, []string{"checked"}), on("closed", []string{"closed"}, nil)
	anyOrder := closed
	anyOrder.AnyOrder = true
	other := closed
	other.Module = "other"
	accept := keyorder.Subscription{Name: "bank/accept", Module: "bank", Types: []string{"checked"}, Emits: []string{"accepted"}}
	accepted := on("accepted", []string{"accepted"}, nil)
	bank := func(names ...string) []keyorder.Group {
		return []keyorder.Group{{Module: "mail", Emitter: "bank", Names: names}}
	}
	for name, c := range map[string]struct {
		subs []keyorder.Subscription
		want []keyorder.Group
	}{
		"two types of an emitter":        {[]keyorder.Subscription{opened, closed}, bank("mail/closed", "mail/opened")},
		"any order":                      {[]keyorder.Subscription{opened, anyOrder}, nil},
		"two modules":                    {[]keyorder.Subscription{opened, other}, nil},
		"two emitters":                   {[]keyorder.Subscription{opened, on("paid", []string{"paid"}, nil)}, nil},
		"one type twice":                 {[]keyorder.Subscription{opened, on("also", []string{"opened"}, nil)}, nil},
		"one handler":                    {[]keyorder.Subscription{on("each", []string{"opened", "closed"}, nil)}, nil},
		"after the other's reaction":     {[]keyorder.Subscription{opened, accept, accepted}, nil},
		"not only after the other's":     {[]keyorder.Subscription{opened, accept, accepted, on("x", []string{"closed"}, []string{"checked"})}, bank("mail/accepted", "mail/opened", "mail/x")},
		"a type without a key":           {[]keyorder.Subscription{on("opened", []string{"keyless"}, nil), closed}, nil},
		"three, and one beside an other": {[]keyorder.Subscription{opened, closed, on("each", []string{"opened", "closed"}, nil)}, bank("mail/closed", "mail/each", "mail/opened")},
	} {
		w := keyorder.Wiring{Emitters: emitters, First: map[string]bool{"opened": true, "closed": true, "paid": true, "keyless": true}, Subscriptions: c.subs}
		if got := w.Unordered(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
