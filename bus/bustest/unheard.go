package bustest

import (
	"maps"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// unheard holds the calls of a Service that failed, hung or lost their answer, and were not repeated with success. A
// reaction that ends as done in spite of such a call has swallowed the error, in nearly every program.
type unheard struct {
	failed map[string]*handed // by Request.id, the run of the handler that called
	heard  map[string]bool    // by Request.id, whether a call was answered
}

// hear notes the result of a call. The caller holds s.mu.
func (u *unheard) hear(id string, run *handed, trouble Trouble) {
	switch {
	case trouble == 0:
		u.heard[id] = true
		delete(u.failed, id)
		op, _, _ := strings.Cut(id, "\x00")
		maps.DeleteFunc(u.failed, func(other string, by *handed) bool { // a handler may try again with another key
			return by == run && strings.HasPrefix(other, op+"\x00")
		})
	case !u.heard[id]:
		u.failed[id] = run
	}
}

// swallowed notes a fault for each service with an unanswered call of run, a run that ended well.
func (w *World) swallowed(run *handed, d *journal.Delivery) {
	w.mu.Lock()
	services := make([]*Service, 0, len(w.services))
	for _, s := range w.services {
		services = append(services, s)
	}
	w.mu.Unlock()
	for _, s := range services {
		s.mu.Lock()
		lost := slices.ContainsFunc(s.calls, func(c Call) bool { return s.unheard.failed[c.id()] == run })
		s.mu.Unlock()
		if lost {
			w.core.fault("%s of %s %s is done although its call of %s had no answer: return the error, so that the bus tries again",
				d.Subscription, d.Event.Type, d.Event.Key, s.name)
		}
	}
}
