// Package keyorder finds subscriptions that get events of one key in no order.
package keyorder

import (
	"cmp"
	"maps"
	"slices"
)

// Wiring is the part of a wiring that decides about the order of events.
type Wiring struct {
	Emitters      map[string]string // the module of each event type with keys
	First         map[string]bool   // the types that begin a flow: Do and Publish emit these
	Subscriptions []Subscription
}

// Subscription is a handler of the wiring.
type Subscription struct {
	Name, Module string
	Types        []string
	Emits        []string
	AnyOrder     bool // the handler does not depend on the order
}

// Group is the subscriptions of a module that get events of an emitter in no order: each of them beside another.
type Group struct {
	Module, Emitter string
	Names           []string // sorted
}

// Unordered returns the groups, by module and emitter. Two subscriptions of a module are in a group when they consume
// different types of one emitter, and neither has AnyOrder. A type that the emitter emits only after a reaction of the
// other subscription, at some distance, comes late enough.
func (w Wiring) Unordered() (groups []Group) {
	found := map[[2]string]map[string]bool{}
	for i := range w.Subscriptions {
		for j := range w.Subscriptions[:i] {
			a, b := &w.Subscriptions[i], &w.Subscriptions[j]
			if a.Module != b.Module || a.AnyOrder || b.AnyOrder {
				continue
			}
			for _, emitter := range w.mixed(a, b) {
				at := [2]string{a.Module, emitter}
				if found[at] == nil {
					found[at] = map[string]bool{}
				}
				found[at][a.Name], found[at][b.Name] = true, true
			}
		}
	}
	for at, names := range found {
		groups = append(groups, Group{Module: at[0], Emitter: at[1], Names: slices.Sorted(maps.Keys(names))})
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Emitter, b.Emitter))
	})
	return groups
}

// mixed returns the emitters whose types reach a and b in no order.
func (w Wiring) mixed(a, b *Subscription) (emitters []string) {
	withoutA, withoutB := w.reached(a), w.reached(b)
	for _, x := range a.Types {
		for _, y := range b.Types {
			emitter := w.Emitters[x]
			if x != y && emitter != "" && emitter == w.Emitters[y] && withoutB[x] && withoutA[y] {
				emitters = append(emitters, emitter)
			}
		}
	}
	return emitters
}

// reached returns the event types that can occur without a reaction of the subscription without.
func (w Wiring) reached(without *Subscription) map[string]bool {
	types := maps.Clone(w.First)
	for before := -1; before < len(types); {
		before = len(types)
		for i := range w.Subscriptions {
			s := &w.Subscriptions[i]
			if s == without || !slices.ContainsFunc(s.Types, func(t string) bool { return types[t] }) {
				continue
			}
			for _, t := range s.Emits {
				types[t] = true
			}
		}
	}
	return types
}
