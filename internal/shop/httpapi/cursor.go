package httpapi

import (
	"encoding/json"
	"iter"
)

// cursor goes through JSON that wire.CheckJSON has accepted. What it returns lies in the same bytes: a body is not copied once for
// every level that it has.
type cursor struct {
	b []byte
	i int
}

// membersOf are the members of an object: their names, and their values as they are written.
func membersOf(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		c := &cursor{b: object, i: 1}
		for c.more('}') {
			var name string
			_ = json.Unmarshal(c.value(), &name) // it is right
			c.space()
			c.i++ // the colon
			c.space()
			if !yield(name, c.value()) {
				return
			}
		}
	}
}

// valuesOf are the values of an array, as they are written.
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

// more reports whether another member or value comes before the end, and goes to it.
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

// value passes a value.
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

// text passes a string.
func (c *cursor) text() {
	for c.i++; c.b[c.i] != '"'; c.i++ {
		if c.b[c.i] == '\\' {
			c.i++
		}
	}
	c.i++
}
