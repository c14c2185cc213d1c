package inventory

import (
	"slices"
	"strings"
)

// mentions reports whether a statement has name in it, as SQLite compares names: in whatever letters, and with any of the quotes that it
// takes. A string counts, too, since SQLite takes one for a name where it finds no other meaning; a comment does not.
func mentions(statement, name string) bool {
	return slices.ContainsFunc(namesIn(statement), func(n string) bool { return sameName(n, name) })
}

// sameName compares names as SQLite does: the letters of ASCII count in either case.
func sameName(a, b string) bool {
	lower := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, s)
	}
	return lower(a) == lower(b)
}

// isOwn reports whether a table is the journal's own.
func isOwn(table string) bool {
	return slices.ContainsFunc(Tables, func(name string) bool { return sameName(name, table) })
}

// namesIn are the names and words in a statement.
func namesIn(statement string) (found []string) {
	for s := statement; s != ""; {
		c := s[0]
		switch {
		case strings.HasPrefix(s, "--"):
			s = after(s, "\n")
		case strings.HasPrefix(s, "/*"):
			s = after(s[2:], "*/")
		case strings.IndexByte("\"'`[", c) >= 0:
			var name string
			name, s = quotedName(s)
			found = append(found, name)
		case isWord(c):
			end := 1
			for end < len(s) && isWord(s[end]) {
				end++
			}
			found = append(found, s[:end])
			s = s[end:]
		default:
			s = s[1:]
		}
	}
	return found
}

// isWord reports whether a byte is part of a name without quotes.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c >= 0x80
}

// quotedName takes the name in quotes that s begins with. A quote that stands twice is one in the name.
func quotedName(s string) (name, rest string) {
	quote := s[:1]
	if quote == "[" {
		name, rest, _ = strings.Cut(s[1:], "]")
		return name, rest
	}
	var b strings.Builder
	for rest = s[1:]; ; {
		part, more, found := strings.Cut(rest, quote)
		b.WriteString(part)
		rest = more
		if !found || !strings.HasPrefix(rest, quote) {
			return b.String(), rest
		}
		b.WriteString(quote)
		rest = rest[1:]
	}
}

// after is what s has behind end; "" where that is not in it.
func after(s, end string) string {
	_, rest, _ := strings.Cut(s, end)
	return rest
}

// quote makes name an identifier of SQL.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
