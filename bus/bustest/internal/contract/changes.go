package contract

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// change is a difference between two contracts.
type change struct {
	breaking bool
	text     string // the difference, and the reason why the change breaks a program or not
}

func breaks(format string, args ...any) change { return change{true, fmt.Sprintf(format, args...)} }
func compatible(format string, args ...any) change {
	return change{false, fmt.Sprintf(format, args...)}
}

// changes returns the differences between c and now in a fixed order, events first.
func (c Contract) changes(now Contract) []change {
	var out []change
	for _, name := range names(c.Events, now.Events) {
		before, inBefore := c.Events[name]
		after, inNow := now.Events[name]
		switch {
		case inBefore && inNow:
			out = append(out, before.changes(name, after)...)
		case inNow:
			out = append(out, compatible("event %s is new", name))
		default:
			also := ""
			like := func(_ string, e eventContract) bool { return before.looksLike(e) }
			if other := only(c.Events, now.Events, like); other != "" {
				also = fmt.Sprintf(", or is called %s now", other)
			}
			out = append(out, breaks("event %s is gone%s: its consumers get no more events, and recorded events cannot be read: keep the type", name, also))
		}
	}
	out = append(out, c.renamed(now)...)
	for _, name := range names(c.Subscriptions, now.Subscriptions) {
		before, inBefore := c.Subscriptions[name]
		after, inNow := now.Subscriptions[name]
		switch {
		case inBefore && inNow:
			out = append(out, typeChanges(name, before, after)...)
		case inNow:
			out = append(out, compatible("subscription %s is new, and starts with the oldest recorded %s unless FromNow is set",
				name, strings.Join(after, " or ")))
		default:
			also := ""
			like := func(_ string, consumes journal.Types) bool { return slices.Equal(consumes, before) }
			if other := only(c.Subscriptions, now.Subscriptions, like); other != "" {
				also = fmt.Sprintf(", or is called %s now, and without Handler.Was handles all recorded events again", other)
			}
			out = append(out, breaks("subscription %s is gone%s: its cursor, retries and dead letters have no owner", name, also))
		}
	}
	return out
}

// renamed removes the subscriptions that now has under another name from both contracts, and returns the changes.
func (c Contract) renamed(now Contract) (out []change) {
	for _, was := range slices.Sorted(maps.Keys(now.was)) {
		name := now.was[was]
		before, inBefore := c.Subscriptions[was]
		after, inNow := now.Subscriptions[name]
		if !inBefore || !inNow {
			continue
		}
		delete(c.Subscriptions, was)
		delete(now.Subscriptions, name)
		out = append(out, compatible("subscription %s is called %s now, and goes on", was, name))
		out = append(out, typeChanges(name, before, after)...)
	}
	return out
}

// typeChanges returns the differences between the types that a subscription consumed before, and consumes now.
func typeChanges(name string, before, now []string) (out []change) {
	for _, t := range before {
		if !slices.Contains(now, t) {
			out = append(out, breaks("subscription %s no longer consumes %s: the events that are not handled yet become dead letters", name, t))
		}
	}
	for _, t := range now {
		if !slices.Contains(before, t) {
			out = append(out, compatible("subscription %s also consumes %s, from the oldest recorded event unless FromNow is set", name, t))
		}
	}
	return out
}

// looksLike reports whether other may be e with a new name.
func (e eventContract) looksLike(other eventContract) bool {
	return e.Emitter == other.Emitter && maps.Equal(e.Fields, other.Fields) &&
		e.ContentType == other.ContentType && e.Schema == other.Schema
}

// changes returns the differences of the event type name.
func (e eventContract) changes(name string, now eventContract) []change {
	fields := fieldChanges(e.Fields, now.Fields)
	var out []change
	if e.Version != now.Version {
		text := fmt.Sprintf("event %s has version %d, was %d: recorded events of the old version that are not handled yet become dead letters", name, now.Version, e.Version)
		for _, f := range fields {
			text += "\n                with it, " + f.text
		}
		fields = nil // each shape has a version of its own
		out = append(out, breaks("%s", text))
	}
	if e.Emitter != now.Emitter {
		out = append(out, compatible("event %s comes from %s, was %s: consumers do not depend on the emitter",
			name, cmp.Or(now.Emitter, "no module"), cmp.Or(e.Emitter, "no module")))
	}
	switch {
	case e.Keyed && !now.Keyed:
		out = append(out, breaks("event %s has no key any more: its events no longer come in order", name))
	case !e.Keyed && now.Keyed:
		out = append(out, compatible("event %s has a key now: its events come in order, and wait for a failed event of the key", name))
	}
	out = append(out, e.formatChanges(name, now)...)
	if e.ContentType != now.ContentType {
		fields = nil // the fields of another format are no fields of this format
	}
	for _, f := range fields {
		f.text = fmt.Sprintf("event %s, field %s", name, f.text)
		if f.breaking {
			f.text += fmt.Sprintf(", and both have version %d", now.Version)
		}
		out = append(out, f)
	}
	return out
}

// formatChanges returns the differences between the formats of the event type name.
func (e eventContract) formatChanges(name string, now eventContract) (out []change) {
	switch {
	case e.ContentType != now.ContentType:
		out = append(out, breaks("event %s is %s, was %s: other programs cannot read the new payloads, and this program reads recorded payloads only as JSON or in the new format",
			name, cmp.Or(now.ContentType, "JSON"), cmp.Or(e.ContentType, "JSON")))
	case e.Schema != now.Schema && e.Version == now.Version:
		out = append(out, breaks("event %s has another schema, and both have version %d: check with the rules of the format that new and recorded payloads can be read",
			name, now.Version))
	}
	switch {
	case !e.Encrypted && now.Encrypted:
		out = append(out, breaks("event %s is encrypted: other programs need the keys", name))
	case e.Encrypted && !now.Encrypted:
		out = append(out, compatible("event %s is not encrypted any more: erasing a key does not erase new payloads", name))
	}
	return out
}

// fieldChanges compares two shapes. The fields within a new, removed or changed field are not reported again.
func fieldChanges(before, now map[string]string) []change {
	var out []change
	reported, renamed := map[string]bool{}, renames(before, now)
	for _, other := range renamed {
		reported[other] = true // the removed field's change names the new field
	}
	for _, path := range names(before, now) {
		if reported[path] || within(path, reported) {
			continue
		}
		oldType, inBefore := before[path]
		newType, inNow := now[path]
		switch {
		case inBefore && inNow && oldType == newType:
			continue
		case inBefore && inNow:
			out = append(out, breaks("%s is %s, was %s: readers of one type cannot decode the other", path, newType, oldType))
		case inBefore && renamed[path] != "":
			out = append(out, breaks("%s is gone, and %s (%s) is new: renamed? Readers of the old field get the zero value", path, renamed[path], oldType))
		case inBefore:
			out = append(out, breaks("%s (%s) is gone: readers get the zero value", path, oldType))
		default:
			out = append(out, compatible("%s (%s) is new: recorded events have the zero value", path, newType))
		}
		reported[path] = true
	}
	return out
}

// renames guesses new names of removed fields. A guess needs a single removed and a single new field of the same type
// within the same parent.
func renames(before, now map[string]string) map[string]string {
	out := map[string]string{}
	for path, oldType := range before {
		if _, still := now[path]; still {
			continue
		}
		like := func(other, newType string) bool { return newType == oldType && parent(other) == parent(path) }
		if other := only(before, now, like); other != "" && only(now, before, like) == path {
			out[path] = other
		}
	}
	return out
}

// parent returns the path of the enclosing field, with the dot.
func parent(path string) string { return path[:strings.LastIndexByte(path, '.')+1] }

// within reports whether path lies within a reported path.
func within(path string, reported map[string]bool) bool {
	for i := range path {
		if (path[i] == '.' || path[i] == '[' || path[i] == '{') && reported[path[:i]] {
			return true
		}
	}
	return false
}

// only returns the single name in now, but not in before, that like accepts; "" when there is no such name, or several.
func only[V any](before, now map[string]V, like func(string, V) bool) string {
	found := ""
	for name, v := range now {
		if _, old := before[name]; old || !like(name, v) {
			continue
		}
		if found != "" {
			return ""
		}
		found = name
	}
	return found
}

// names returns the keys of a and b, sorted.
func names[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
