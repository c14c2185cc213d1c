package cli

import (
	"fmt"
	"io"
	"regexp"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// screen is where all output goes that may be for a terminal. It lets through what is printable, line ends, tabs, and the escape
// sequences that the program has of its own; other control and format characters are text that came from elsewhere and was not
// cleaned (see printable). In JSON, where they can only be part of a string, they are escaped, and mean the same.
type screen struct {
	w    io.Writer
	json *bool  // nil where it is never JSON
	rest []byte // the beginning of a character, whose end is still to come
}

// ours are the escape sequences of this program: colours, and the clearing of the line of progress.
var ours = regexp.MustCompile(`^(\x1b\[[0-9;]{0,8}m|\r\x1b\[K)`)

// longestOurs is how many bytes such a sequence has at most.
const longestOurs = 12

// Write implements io.Writer.
func (s *screen) Write(text []byte) (int, error) {
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

// escaped adds r as JSON writes it.
func escaped(out []byte, r rune) []byte {
	if r <= 0xFFFF {
		return fmt.Appendf(out, `\u%04x`, r)
	}
	high, low := utf16.EncodeRune(r)
	return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
}

// plainASCII reports whether there is nothing to look at in text.
func plainASCII(text []byte) bool {
	for _, b := range text {
		if (b < ' ' || b > '~') && b != '\n' && b != '\t' {
			return false
		}
	}
	return true
}
