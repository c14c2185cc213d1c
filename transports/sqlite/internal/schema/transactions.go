package schema

import (
	"slices"
	"strings"
	"unicode"
)

// transactional begin statements that a migration may not have: the journal begins and commits the transaction of a
// migration.
var transactional = []string{"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH"}

// ownTransaction returns the first word of the first statement in text that begins or ends a transaction or attaches a
// database, or "".
func ownTransaction(text string) string {
	var s following
	for t := range tokens(text) {
		if word := s.first(t); slices.Contains(transactional, word) {
			return word
		}
	}
	return ""
}

// following finds the ends of SQL statements, as sqlite3_complete does (https://www.sqlite.org/c3ref/complete.html): a
// trigger contains statements, and ends with END after a semicolon.
type following struct {
	words   int // words of the statement so far, at most 1
	create  bool
	trigger bool
	last    string // token
	ending  bool   // of a trigger
}

// first returns t, in capitals, when it is the first word of a statement.
func (s *following) first(t string) string {
	word := strings.ToUpper(t)
	defer func() { s.last = word }()
	switch {
	case word == ";" && (!s.trigger || s.ending):
		*s = following{}
	case word == ";":
	case s.words == 0:
		s.words, s.create = 1, word == "CREATE"
		return word
	case s.create && (word == "TEMP" || word == "TEMPORARY"):
	case s.create:
		s.create, s.trigger = false, word == "TRIGGER"
	case s.trigger:
		s.ending = word == "END" && s.last == ";"
	}
	return ""
}

// tokens yields words, semicolons, and one character for anything else except comments.
func tokens(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < len(text); {
			n, token := token(text[i:])
			if i += n; token != "" && !yield(token) {
				return
			}
		}
	}
}

// token returns the length and text of the first token of text. The text is "" for space and comments.
func token(text string) (n int, is string) {
	switch c := text[0]; {
	case strings.HasPrefix(text, "--"):
		return upTo(text, "\n", 2), ""
	case strings.HasPrefix(text, "/*"):
		return upTo(text, "*/", 2), ""
	case space(text) > 0:
		return space(text), ""
	case c == '[':
		return upTo(text, "]", 1), "x"
	case c == '\'' || c == '"' || c == '`': // a doubled quote ends one token and begins the next
		return upTo(text, text[:1], 1), "x"
	case inWord(c):
		for n = 1; n < len(text) && inWord(text[n]); n++ {
			continue
		}
		return n, text[:n]
	}
	return 1, text[:1]
}

// space returns the length of the white space at the start of text, or 0. The driver cuts Unicode's white space between
// two statements, which SQLite takes for a part of a word.
func space(text string) int { return len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace)) }

// upTo returns the index after the first end in text[from:], or the length of text.
func upTo(text, end string, from int) int {
	if i := strings.Index(text[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(text)
}

func inWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
