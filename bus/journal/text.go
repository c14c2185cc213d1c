package journal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns text of any origin in a form that is fit for one line of a terminal. A run of white space, control characters
// and format characters (ESC, line ends, and those that change the direction of text) becomes one space, and none is left at the
// ends. Bytes that are not UTF-8 become U+FFFD.
func Printable(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

// IsPrintable reports whether a person who types text as it is shown names the same text.
func IsPrintable(text string) bool {
	return text == strings.ToValidUTF8(text, "") && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

// Clip returns Printable text of at most width characters. A cut shows as "…" at its end.
func Clip(text string, width int) string {
	const longest = 4 // bytes of a character
	cut := false
	if most := 4 * longest * width; len(text) > most { // of a text of megabytes, no more than this is looked at
		text, cut = strings.ToValidUTF8(text[:most], ""), true
	}
	r := []rune(Printable(text))
	if len(r) <= width && !cut {
		return string(r)
	}
	return string(r[:min(len(r), width-1)]) + "…"
}

// Bounds, in bytes, of what a journal keeps of a failed attempt.
const (
	MaxError = 8 << 10
	MaxStack = 64 << 10
)

// Cut returns text if it has at most limit bytes, and otherwise its beginning, which ends by saying how much is missing.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	note := fmt.Sprintf("… (cut: it has %d bytes)", len(text))
	end := max(limit-len(note), 0)
	for end > 0 && end > limit-len(note)-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end]) + note // not a piece of what may be large
}
