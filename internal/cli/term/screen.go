// Package term writes text and progress to a terminal.
package term

import (
	"fmt"
	"io"
	"regexp"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Screen filters output that may be for a terminal. Screen passes printable characters, line ends, tabs, and the escape
// sequences of this program. Other control and format characters come from foreign text that was not cleaned with
// journal.Printable: Screen replaces such characters, or escapes them in JSON, where they can only be in a string.
type Screen struct {
	w    io.Writer
	json *bool  // nil for output that is never JSON
	rest []byte // the first bytes of an incomplete character
}

// NewScreen returns a Screen that writes to w. *json reports whether the output is JSON; nil stands for never.
func NewScreen(w io.Writer, json *bool) *Screen { return &Screen{w: w, json: json} }

// ours matches the escape sequences of this program: colours, and clearing the line of progress.
var ours = regexp.MustCompile(`^(\x1b\[[0-9;]{0,8}m|\r\x1b\[K)`)

// longestOurs is the maximum length of such a sequence in bytes.
const longestOurs = 12

// Write implements io.Writer.
func (s *Screen) Write(text []byte) (int, error) {
	if len(s.rest) == 0 && plainASCII(text) {
		return s.w.Write(text)
	}
	all := append(s.rest, text...)
	out := make([]byte, 0, len(all)+len(all)/8)
	s.rest = nil
	for len(all) > 0 {
		r, n := utf8.DecodeRune(all)
		switch {
		case r == utf8.RuneError && n == 1 && !utf8.FullRune(all):
			s.rest = append([]byte{}, all...)
			n = len(all)
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			out = append(out, all[:n]...)
			if r == utf8.RuneError && n == 1 {
				out = append(out[:len(out)-1], "\uFFFD"...)
			}
		case s.json != nil && *s.json:
			out = escaped(out, r)
		default:
			if own := ours.Find(all[:min(len(all), longestOurs)]); own != nil {
				out, n = append(out, own...), len(own)
				break
			}
			out = append(out, "\uFFFD"...)
		}
		all = all[n:]
	}
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(text), nil
}

// escaped appends r to out as an escape of JSON.
func escaped(out []byte, r rune) []byte {
	if r <= 0xFFFF {
		return fmt.Appendf(out, `\u%04x`, r)
	}
	high, low := utf16.EncodeRune(r)
	return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
}

// plainASCII reports whether text has only printable ASCII characters, line ends and tabs.
func plainASCII(text []byte) bool {
	for _, b := range text {
		if (b < ' ' || b > '~') && b != '\n' && b != '\t' {
			return false
		}
	}
	return true
}
