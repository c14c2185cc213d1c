package bus

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"path"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
)

// Raw is an event of any type, with its payload as stored.
type Raw struct {
	Type, Key string
	Version   int    // of the type's shape, from 1
	Source    string // the module that emitted the event
	Data      []byte // the payload: JSON, unless the type has a codec or is encrypted

	ContentType string // of Data
	KeyID       string // the id of the key that encrypts Data; see encrypt.Open; "" without encryption
}

// EventType implements Event.
func (r Raw) EventType() string { return r.Type }

// EventKey implements Event.
func (r Raw) EventKey() string { return r.Key }

// OnAll registers fn as a handler of m for every event type that a module of the program emits, or for the types that
// match one of patterns, such as "order.*" (see path.Match); the types that fn emits are left out. OnAll is for an
// audit, a search index or webhooks. When the program gains a type, so does the handler, as OnEach says.
//
// Events of one key and one module come in order. The handler has AnyOrder, and is no consumer for Check: an event
// that only such a handler gets needs Module.ForOutside.
func OnAll(
	m *Module, name string, fn func(ctx context.Context, e Raw) (Events, error), patterns ...string,
) *Handler[Raw] {
	s := m.subscribe(name)
	if fn == nil {
		m.bus.mistake(noFunction, s.Name)
	}
	if s.patterns = patterns; len(patterns) == 0 {
		s.patterns = []string{"*"}
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			m.bus.mistake("subscription %q: pattern %q: %w", s.Name, p, err)
		}
	}
	s.anyOrder = true
	s.Reactions = []*reaction{{
		Decode: func(e *journal.Event) (Event, error) {
			return Raw{
				Type: e.Type, Key: e.Key, Version: e.Version, Source: e.Source, Data: bytes.Clone(e.Data),
				ContentType: cmp.Or(e.Metadata[journal.MetaContentType], "application/json"), KeyID: e.Metadata[journal.MetaKeyID],
			}, nil
		},
		Handle: func(ctx context.Context, e Event) (Events, error) { return fn(ctx, e.(Raw)) },
	}}
	return &Handler[Raw]{s: s}
}

// matched returns the types that the patterns of s match, sorted.
func (s *subscription) matched() (types []string) {
	for _, t := range slices.Sorted(maps.Keys(s.bus.types)) {
		like := func(pattern string) bool { ok, _ := path.Match(pattern, t); return ok }
		if s.bus.types[t].Emitter != "" && !s.emits[t] && slices.ContainsFunc(s.patterns, like) {
			types = append(types, t)
		}
	}
	return types
}
