package schema

import (
	"slices"
	"strings"
)

// transactional begin statements that a migration may not have: it is one transaction, which the journal begins and
// commits.
var transactional = []string{"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH"}

// ownTransaction returns the word with which the first statement in text begins that has to do with transactions or
// other databases, or "".
func ownTransaction(text string) string {
	var s following
	for t := range tokens(text) {
		if word := s.first(t); slices.Contains(transactional, word) {
			return word
		}
	}
	return ""
}

// following follows SQL from one statement to the next, as sqlite3_complete does
// (https://www.sqlite.org/c3ref/complete.html): a trigger has statements in it, and ends with END behind a semicolon.
type following struct {
	words   int // of the statement, as far as they count
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

// tokens are words, semicolons, and one character for whatever else is not a comment.
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

// token is how long the first token of text is, and what it is: "" for space and comments.
func token(text string) (n int, is string) {
	switch c := text[0]; {
	case strings.HasPrefix(text, "--"):
		return upTo(text, "\n", 2), ""
	case strings.HasPrefix(text, "/*"):
		return upTo(text, "*/", 2), ""
	case strings.IndexByte(" \t\n\f\r", c) >= 0:
		return 1, ""
	case c == '[':
		return upTo(text, "]", 1), "x"
	case c == '\'' || c == '"' || c == '`': // a quote that is doubled ends one and begins the next
		return upTo(text, text[:1], 1), "x"
	case inWord(c):
		for n = 1; n < len(text) && inWord(text[n]); n++ {
			continue
		}
		return n, text[:n]
	}
	return 1, text[:1]
}

// upTo is where text ends with end, looked for from byte from on, or ends.
func upTo(text, end string, from int) int {
	if i := strings.Index(text[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(text)
}

func inWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
