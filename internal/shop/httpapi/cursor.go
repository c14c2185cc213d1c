package httpapi

import (
	"encoding/json"
	"iter"
)

// cursor walks through JSON that wire.CheckJSON has accepted. The results are parts of the same bytes: a nested value
// is not copied at every level.
type cursor struct {
	b []byte
	i int
}

// membersOf returns the names of an object's members, and the JSON of their values.
func membersOf(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		c := &cursor{b: object, i: 1}
		for c.more('}') {
			var name string
			_ = json.Unmarshal(c.value(), &name) // valid: CheckJSON has checked the name
			c.space()
			c.i++ // the colon
			c.space()
			if !yield(name, c.value()) {
				return
			}
		}
	}
}

// valuesOf returns the JSON of an array's values.
func valuesOf(array json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		c := &cursor{b: array, i: 1}
		for c.more(']') {
			if !yield(c.value()) {
				return
			}
		}
	}
}

// more moves to the next member or value, and reports whether there is any before the end.
func (c *cursor) more(end byte) bool {
	c.space()
	if c.b[c.i] == ',' {
		c.i++
		c.space()
	}
	return c.b[c.i] != end
}

func (c *cursor) space() {
	for c.i < len(c.b) && (c.b[c.i] == ' ' || c.b[c.i] == '\n' || c.b[c.i] == '\t' || c.b[c.i] == '\r') {
		c.i++
	}
}

// value skips a value, and returns its JSON.
func (c *cursor) value() json.RawMessage {
	start, depth := c.i, 0
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case '"':
			c.text()
		case '{', '[':
			depth++
			c.i++
		case '}', ']', ',', ':', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return c.b[start:c.i]
			}
			if c.b[c.i] == '}' || c.b[c.i] == ']' {
				depth--
			}
			c.i++
		default:
			c.i++
		}
		if depth == 0 && (c.b[c.i-1] == '"' || c.b[c.i-1] == '}' || c.b[c.i-1] == ']') {
			return c.b[start:c.i]
		}
	}
	return c.b[start:c.i]
}

// text skips a string.
func (c *cursor) text() {
	for c.i++; c.b[c.i] != '"'; c.i++ {
		if c.b[c.i] == '\\' {
			c.i++
		}
	}
	c.i++
}
