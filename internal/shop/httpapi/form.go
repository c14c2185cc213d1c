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

// maxFaults is the number of faults that are listed for a body.
const maxFaults = 100

// form reads JSON values and collects all faults with their positions. An invalid value is read as zero. The syntax
// of the values has been checked before. The parameter at is the JSON Pointer of a value.
type form struct {
	faults []fault
	more   int // faults that are not listed
}

func (f *form) note(at, format string, args ...any) {
	if len(f.faults) == maxFaults {
		f.more++
		return
	}
	f.faults = append(f.faults, fault{Pointer: "#" + at, Detail: fmt.Sprintf(format, args...)})
}

// err returns an error with all faults, or nil.
func (f *form) err() error {
	if f.more > 0 {
		f.faults = append(f.faults, fault{Pointer: "#", Detail: fmt.Sprintf("%d more problems are not listed", f.more)})
	}
	if len(f.faults) > 0 {
		return invalid(f.faults)
	}
	return nil
}

// maxUnknown is the number of unknown members that are listed for an object. With more, no member of the object is
// read: the client means something else, and the lists of such an object may be long.
const maxUnknown = 5

// members reads an object with members of the given names only. Names are case-sensitive.
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

// clip shortens a client's name for a message.
func clip(name string) string {
	const most = 64
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	return string([]rune(name)[:most]) + "…"
}

// pointer escapes a member's name for a JSON Pointer in a URI fragment (RFC 6901).
var pointer = strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", " ", "%20", `"`, "%22", "#", "%23")

// list reads an array of up to limit values. A missing array is empty.
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
			return nil // the list of faults would be as long as the array
		}
		l = append(l, value)
	}
	return l
}

// text reads a string of up to limit characters, without control characters. A missing string is empty.
func (f *form) text(at string, raw json.RawMessage, limit int) string {
	return f.checked(at, raw, func(s string) string { return badText(s, limit) })
}

// name reads a name of up to limit characters, by order.BadName. A missing name is empty.
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

// badText returns the reason why s is not a text, or "".
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

// needed reads a required string with read.
func (f *form) needed(
	at string, raw json.RawMessage, read func(string, json.RawMessage, int) string, limit int,
) string {
	before := len(f.faults) + f.more
	s := read(at, raw, limit)
	if s == "" && len(f.faults)+f.more == before {
		f.note(at, "is required")
	}
	return s
}

// whole reads a required whole number.
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
