package wake

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
)

// Match is the set of event types of a follower.
type Match struct {
	one     string // the usual case
	Types   map[string]bool
	Except  bool // Types are unwanted, all others are wanted
	Durable bool // only events on disk, because the follower passes them to the outside
}

// NewMatch returns a match of types, or with except of all other types.
func NewMatch(types []string, except bool) *Match {
	m := &Match{Except: except, Types: map[string]bool{}}
	for _, t := range types {
		m.Types[t] = true
	}
	if len(types) == 1 && !except {
		m.one = types[0]
	}
	return m
}

// Of returns the match of a subscription.
func Of(s journal.Subscription) *Match {
	m := NewMatch(s.Types, false)
	if len(s.Types) == 0 {
		m = NewMatch(s.Except, true)
	}
	m.Durable = s.Outside
	return m
}

// Wants reports whether m contains eventType.
func (m *Match) Wants(eventType string) bool {
	if m.one != "" {
		return m.one == eventType
	}
	return m.Types[eventType] != m.Except
}

// List returns the types as a sorted JSON array, the format of the table subscriptions.
func (m *Match) List() (string, error) {
	list, err := json.Marshal(append([]string{}, slices.Sorted(maps.Keys(m.Types))...)) // an empty list is [], not null
	return string(list), err
}
