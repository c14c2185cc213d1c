package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth limits the nesting of arrays and objects in a payload.
const maxDepth = 1000

// CheckPayload returns an error when data is not the payload of an event. docs/input.md states the rule: a payload is
// a JSON value that CheckJSON accepts, but not null, which would be handled like an event of zero values.
func CheckPayload(data []byte) error {
	if err := CheckJSON(data); err != nil {
		return err
	}
	if IsNull(data) {
		return errors.New("the payload is null: send an object, or no payload")
	}
	return nil
}

// IsNull reports whether data is the JSON value null.
func IsNull(data []byte) bool {
	return len(data) >= 4 && string(bytes.TrimSpace(data)) == "null"
}

// CheckJSON returns an error when data is not a JSON value that every reader understands alike (I-JSON, RFC 7493).
// Beyond the grammar of JSON, CheckJSON refuses bytes that are not UTF-8, a \u escape of half a surrogate pair, a
// repeated name in an object, and nesting of more than 1000 levels. CheckJSON takes one pass, and allocates only for
// objects with many members.
func CheckJSON(data []byte) error {
	s := scan{b: data}
	s.space()
	if s.i == len(data) {
		return errors.New("there is no JSON value")
	}
	err := s.value(0)
	if s.space(); err == nil && s.i < len(data) {
		err = s.wrong("there is more than one JSON value")
	}
	return err
}

// scan reads JSON text.
type scan struct {
	b     []byte
	i     int
	names [][]byte // the members so far of each object around i, without escapes
}

func (s *scan) wrong(what string) error { return fmt.Errorf("%s at byte %d", what, s.i) }

func (s *scan) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return
		}
	}
}

// next skips the next byte if the byte is c, and reports whether it is.
func (s *scan) next(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scan) value(depth int) error {
	if depth > maxDepth {
		return s.wrong(fmt.Sprintf("JSON is nested deeper than %d levels", maxDepth))
	}
	if s.i == len(s.b) {
		return s.wrong("JSON ends too early")
	}
	switch c := s.b[s.i]; {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			s.i += len(word)
			return nil
		}
	}
	return s.wrong("no JSON value begins like this")
}

func (s *scan) array(depth int) error {
	s.i++
	if s.space(); s.next(']') {
		return nil
	}
	for {
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if s.space(); s.next(']') {
			return nil
		}
		if !s.next(',') {
			return s.wrong("JSON lacks a comma or ]")
		}
	}
}

// fewNames is the number of names in an object up to which names are compared one by one.
const fewNames = 16

func (s *scan) object(depth int) error {
	s.i++
	if s.space(); s.next('}') {
		return nil
	}
	first := len(s.names)
	defer func() { s.names = s.names[:first] }()
	var many map[string]bool
	for {
		s.space()
		at := s.i
		if s.i == len(s.b) || s.b[s.i] != '"' {
			return s.wrong("JSON lacks the name of a member")
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if many, err = s.another(first, name, many); err != nil {
			s.i = at
			return s.wrong(err.Error())
		}
		if s.space(); !s.next(':') {
			return s.wrong("JSON lacks a colon")
		}
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if s.space(); s.next('}') {
			return nil
		}
		if !s.next(',') {
			return s.wrong("JSON lacks a comma or }")
		}
	}
}

// another adds the name of a further member to the object whose first name has the index first. A repeated name is an
// error.
func (s *scan) another(first int, name []byte, many map[string]bool) (map[string]bool, error) {
	again := false
	if many == nil {
		for _, n := range s.names[first:] {
			again = again || bytes.Equal(n, name)
		}
		s.names = append(s.names, name)
		if len(s.names)-first > fewNames {
			many = map[string]bool{}
			for _, n := range s.names[first:] {
				many[string(n)] = true
			}
		}
	} else {
		again = many[string(name)]
		many[string(name)] = true
	}
	if again {
		return many, fmt.Errorf("an object has the member %.60q twice", name)
	}
	return many, nil
}

// text skips a string, and returns its content.
func (s *scan) text() ([]byte, error) {
	s.i++
	start, escaped := s.i, false
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			inside := s.b[start:s.i]
			s.i++
			if escaped {
				return meant(inside), nil
			}
			return inside, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, s.wrong("a JSON string has a control character that is not escaped")
		case c < utf8.RuneSelf:
			s.i++
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n == 1 {
				return nil, s.wrong("a JSON string is not UTF-8")
			}
			s.i += n
		}
	}
	return nil, s.wrong("a JSON string has no end")
}

// meant returns the text of a valid JSON string with escapes.
func meant(inside []byte) []byte {
	var text string
	_ = json.Unmarshal(append(append([]byte{'"'}, inside...), '"'), &text) // cannot fail: the string is valid
	return []byte(text)
}

// escape skips an escape sequence, with both halves of a surrogate pair.
func (s *scan) escape() error {
	if s.i+1 < len(s.b) && strings.IndexByte(`"\/bfnrt`, s.b[s.i+1]) >= 0 {
		s.i += 2
		return nil
	}
	r, ok := s.unit(s.i)
	switch {
	case !ok:
		return s.wrong("a JSON string has a backslash that is no escape")
	case r < 0xd800 || r > 0xdfff:
		s.i += 6
		return nil
	}
	if low, ok := s.unit(s.i + 6); r <= 0xdbff && ok && low >= 0xdc00 && low <= 0xdfff {
		s.i += 12
		return nil
	}
	return s.wrong("a JSON string has half a surrogate pair")
}

// unit returns the number of the \u escape at byte at.
func (s *scan) unit(at int) (r rune, ok bool) {
	if at+6 > len(s.b) || s.b[at] != '\\' || s.b[at+1] != 'u' {
		return 0, false
	}
	for _, c := range s.b[at+2 : at+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (s *scan) number() error {
	s.next('-')
	if !s.next('0') && !s.digits() {
		return s.wrong("a JSON number has no digits")
	}
	if s.next('.') && !s.digits() {
		return s.wrong("a JSON number has no digits after the point")
	}
	if s.next('e') || s.next('E') {
		_ = s.next('+') || s.next('-')
		if !s.digits() {
			return s.wrong("a JSON number has no exponent after the e")
		}
	}
	return nil
}

func (s *scan) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// CheckName returns an error when text is not a name or id. A name is UTF-8 without control characters, line
// separators, invisible characters that change the display of others (Unicode's format characters, such as U+202E),
// and code points that are no character. An empty text is a name.
func CheckName(text string) error {
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			return errors.New("is not UTF-8")
		case r < utf8.RuneSelf && r >= ' ' && r != 0x7f:
		case unicode.IsControl(r):
			return fmt.Errorf("has the control character %U", r)
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			return fmt.Errorf("has the invisible character %U", r)
		case r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef:
			return fmt.Errorf("has %U, which is no character", r)
		}
	}
	return nil
}
