package journal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns text in a form for a single line of a terminal. White space, control characters and format
// characters (ESC, line ends, and characters that change the direction of text) become single spaces, trimmed at both
// ends. Bytes that are not UTF-8 become U+FFFD.
func Printable(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	return strings.Join(words, " ")
}

// IsPrintable reports whether a terminal shows every character of text, so that a person can type the same text.
func IsPrintable(text string) bool {
	invisible := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
	return text == strings.ToValidUTF8(text, "") && !strings.ContainsFunc(text, invisible)
}

// Clip returns Printable text of at most width characters. A shortened text ends in "…".
func Clip(text string, width int) string {
	const longest = 4 // bytes of a character
	cut := false
	if most := 4 * longest * width; len(text) > most { // do not scan megabytes of text
		text, cut = strings.ToValidUTF8(text[:most], ""), true
	}
	r := []rune(Printable(text))
	if len(r) <= width && !cut {
		return string(r)
	}
	return string(r[:min(len(r), width-1)]) + "…"
}

// Limits, in bytes, of the texts that a journal keeps of a failed attempt.
const (
	MaxError = 8 << 10
	MaxStack = 64 << 10
)

// Cut returns text of at most limit bytes unchanged. A longer text is cut, and ends in a note with the original size.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	note := fmt.Sprintf("… (cut: it has %d bytes)", len(text))
	end := max(limit-len(note), 0)
	for end > 0 && end > limit-len(note)-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end]) + note // a copy: a substring would keep the whole text in memory
}
