package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/troupebus/troupe/domain/order"
)

// maxFaults is how many faults of one body are listed.
const maxFaults = 100

// form takes JSON values apart by hand, so that it can say of everything that is wrong where it is. What it finds wrong
// it reads as zero, and goes on. Its values have been parsed before: their syntax is right. "at" is a value's JSON
// Pointer.
type form struct {
	faults []fault
	more   int // that are not listed
}

func (f *form) note(at, format string, args ...any) {
	if len(f.faults) == maxFaults {
		f.more++
		return
	}
	f.faults = append(f.faults, fault{Pointer: "#" + at, Detail: fmt.Sprintf(format, args...)})
}

// err is everything that is wrong, or nil.
func (f *form) err() error {
	if f.more > 0 {
		f.faults = append(f.faults, fault{Pointer: "#", Detail: fmt.Sprintf("%d more problems are not listed", f.more)})
	}
	if len(f.faults) > 0 {
		return invalid(f.faults)
	}
	return nil
}

// maxUnknown is how many unknown members of one object are listed. With one more, nothing else is read of it: the client means
// something else, and lists of such things may be long.
const maxUnknown = 5

// members reads an object that may have the members called names, and no others. Their case counts.
func (f *form) members(at string, raw json.RawMessage, names ...string) map[string]json.RawMessage {
	if len(raw) == 0 || raw[0] != '{' {
		f.note(at, "must be an object")
		return nil
	}
	m, unknown := map[string]json.RawMessage{}, 0
	for name, value := range membersOf(raw) {
		if slices.Contains(names, name) {
			m[name] = value
			continue
		}
		if unknown++; unknown > maxUnknown {
			f.note(at, "has more than %d unknown members: the known ones were not read", maxUnknown)
			return nil
		}
		f.note(at+"/"+pointer.Replace(clip(name)), "is unknown: the known members are %s", strings.Join(names, ", "))
	}
	return m
}

// clip keeps a name that a client made up to a length that can be shown.
func clip(name string) string {
	const most = 64
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	return string([]rune(name)[:most]) + "…"
}

// pointer escapes a member's name for a JSON Pointer in a URI fragment, as far as it must be (RFC 6901).
var pointer = strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", " ", "%20", `"`, "%22", "#", "%23")

// list reads an array of up to limit values. A missing one is empty.
func (f *form) list(at string, raw json.RawMessage, limit int) []json.RawMessage {
	if raw == nil {
		return nil
	}
	if raw[0] != '[' {
		f.note(at, "must be an array")
		return nil
	}
	var l []json.RawMessage
	for value := range valuesOf(raw) {
		if len(l) == limit {
			f.note(at, "has more than %d entries", limit)
			return nil // the list of what is wrong with them would be as long
		}
		l = append(l, value)
	}
	return l
}

// text reads a string of up to limit characters, all of which can be shown on one line. A missing one is empty.
func (f *form) text(at string, raw json.RawMessage, limit int) string {
	return f.checked(at, raw, func(s string) string { return badText(s, limit) })
}

// name reads a string of up to limit characters that names something. A missing one is empty.
func (f *form) name(at string, raw json.RawMessage, limit int) string {
	return f.checked(at, raw, func(s string) string { return order.BadName(s, limit) })
}

func (f *form) checked(at string, raw json.RawMessage, bad func(string) string) string {
	if raw == nil {
		return ""
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		f.note(at, "must be a string")
		return ""
	}
	if detail := bad(*s); detail != "" {
		f.note(at, "%s", detail)
		return ""
	}
	return *s
}

// badText is what is wrong with a text, or "".
func badText(s string, limit int) string {
	n := utf8.RuneCountInString(s)
	switch {
	case n > limit:
		return fmt.Sprintf("has %d characters: at most %d", n, limit)
	case !utf8.ValidString(s):
		return "is not UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "must not have control characters"
	}
	return ""
}

// needed reads a string, with read, that must be there.
func (f *form) needed(at string, raw json.RawMessage, read func(string, json.RawMessage, int) string, limit int) string {
	before := len(f.faults) + f.more
	s := read(at, raw, limit)
	if s == "" && len(f.faults)+f.more == before {
		f.note(at, "is required")
	}
	return s
}

// whole reads a number that must be there.
func (f *form) whole(at string, raw json.RawMessage, from, to int64) int64 {
	if raw == nil {
		f.note(at, "is required")
		return 0
	}
	var n *int64
	if err := json.Unmarshal(raw, &n); err != nil || n == nil || *n < from || *n > to {
		f.note(at, "must be a whole number from %d to %d", from, to)
		return 0
	}
	return *n
}
