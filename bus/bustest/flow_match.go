package bustest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/codec"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/internal/payload"
	"github.com/troupebus/troupe/bus/internal/shape"
	"github.com/troupebus/troupe/bus/journal"
)

// wantedEvent is an event as written in a test.
type wantedEvent struct {
	eventType string
	version   int
	fields    map[string]string // the fields other than zero, as canonical JSON; shape.Payload for an event without fields
	text      string            // for people
	goType    reflect.Type
	keys      encrypt.Keys // of encrypted payloads
}

// wanted describes events. An event that cannot be encoded ends the test.
func (f *Flow) wanted(events []bus.Event) []wantedEvent {
	f.t.Helper()
	var out []wantedEvent
	for i, e := range events {
		w, err := describe(e)
		if err != nil {
			f.t.Fatalf("bustest: wanted event %d: %v", i+1, err)
		}
		w.keys = f.keys
		out = append(out, w)
	}
	return out
}

// describe returns the fields of e that differ from the zero value of e's type. So structs, times and types with their
// own encoding can be left out, too.
func describe(e bus.Event) (wantedEvent, error) {
	t := reflect.TypeOf(e)
	if t == nil || t.Kind() == reflect.Pointer && reflect.ValueOf(e).IsNil() {
		return wantedEvent{}, fmt.Errorf("it is nil")
	}
	zero := reflect.Zero(t)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
		zero = reflect.New(t)
	}
	data, err := json.Marshal(e)
	if err != nil {
		return wantedEvent{}, fmt.Errorf("encode %s: %w", e.EventType(), err)
	}
	w := wantedEvent{eventType: e.EventType(), version: 1, fields: fieldsOf(data), goType: t}
	if v, ok := e.(interface{ EventVersion() int }); ok {
		w.version = v.EventVersion()
	}
	// A type with a zero value that cannot be encoded has no wildcard fields.
	if data, err := json.Marshal(zero.Interface()); err == nil {
		unset := fieldsOf(data)
		maps.DeleteFunc(w.fields, func(name, value string) bool { return unset[name] == value })
	}
	w.text = w.String()
	return w, nil
}

// fieldsOf splits a JSON object into its fields.
func fieldsOf(data json.RawMessage) map[string]string {
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil || object == nil {
		return map[string]string{shape.Payload: canonical(data)}
	}
	out := map[string]string{}
	for name, value := range object {
		out[name] = canonical(value)
	}
	return out
}

// canonical returns the same text for equal JSON values. Numbers keep all digits.
func canonical(data json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return string(data)
	}
	out, err := json.Marshal(value)
	if err != nil {
		return string(data)
	}
	return string(out)
}

// String returns the type with the wanted fields.
func (w wantedEvent) String() string {
	text := w.eventType
	if w.version != 1 {
		text += fmt.Sprintf(" v%d", w.version)
	}
	if whole, ok := w.fields[shape.Payload]; ok {
		return text + " " + journal.Clip(whole, maxShown)
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(w.fields)) {
		parts = append(parts, fmt.Sprintf("%q:%s", name, w.fields[name]))
	}
	if len(parts) == 0 {
		return text
	}
	return text + " " + journal.Clip("{"+strings.Join(parts, ",")+"}", maxShown)
}

// maxShown is the number of characters of a payload in a failure.
const maxShown = 300

func (w wantedEvent) matches(e *journal.FlowEvent) bool {
	return e.Type == w.eventType && len(w.differs(e)) == 0
}

// differs describes the differences between w and an event of the same type.
func (w wantedEvent) differs(e *journal.FlowEvent) []string {
	var out []string
	if e.Version != w.version {
		out = append(out, fmt.Sprintf("version is %d, not %d", e.Version, w.version))
	}
	if len(w.fields) == 0 {
		return out
	}
	data, err := w.payloadOf(e)
	if err != nil {
		return append(out, err.Error())
	}
	has := fieldsOf(data)
	for _, name := range slices.Sorted(maps.Keys(w.fields)) {
		switch is, ok := has[name]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s is missing", name))
		case is != w.fields[name]:
			out = append(out, fmt.Sprintf("%s is %s, not %s", name, journal.Clip(is, maxShown), journal.Clip(w.fields[name], maxShown)))
		}
	}
	return out
}

// payloadOf returns the payload of e as JSON, if necessary by way of the Go type of w.
func (w wantedEvent) payloadOf(e *journal.FlowEvent) (json.RawMessage, error) {
	into, kind := reflect.New(w.goType).Interface(), e.Metadata[journal.MetaContentType]
	if codec.Of(into) == nil && kind != encrypt.ContentType {
		return e.Data, nil
	}
	stored := &journal.Event{Type: e.Type, Version: e.Version, Metadata: e.Metadata, Data: e.Data}
	if e.Data == nil {
		stored.Data = e.DataBase64
	}
	if err := payload.Unmarshal(stored, w.keys, into); err != nil {
		return nil, err
	}
	return json.Marshal(into)
}

// compare matches as many wanted events as possible with an event each: a matching in a bipartite graph, with
// augmenting paths.
func (f *Flow) compare(wanted []wantedEvent) *difference {
	d := f.difference()
	has := make([]int, len(f.flow.Events)) // the wanted event for each event
	for i := range has {
		has[i] = -1
	}
	for i := range wanted {
		f.assign(wanted, i, has, map[int]bool{})
	}
	for i, by := range has {
		d.free[i] = by < 0
	}
	for i, w := range wanted {
		if slices.Contains(has, i) {
			continue
		}
		note := ""
		if n := f.count(w); n > 0 {
			note = fmt.Sprintf("once more: all %d matching events are for other wanted events", n)
		}
		d.miss(w, note)
		d.nearMisses(w)
	}
	return d
}

// assign finds an event for wanted[i], if necessary by moving another wanted event to another event.
func (f *Flow) assign(wanted []wantedEvent, i int, has []int, tried map[int]bool) bool {
	for at := range has {
		if tried[at] || !wanted[i].matches(&f.flow.Events[at]) {
			continue
		}
		tried[at] = true
		if has[at] < 0 || f.assign(wanted, has[at], has, tried) {
			has[at] = i
			return true
		}
	}
	return false
}

func (f *Flow) count(w wantedEvent) int {
	n := 0
	for i := range f.flow.Events {
		if w.matches(&f.flow.Events[i]) {
			n++
		}
	}
	return n
}
