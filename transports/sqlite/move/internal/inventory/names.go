package inventory

import (
	"slices"
	"strings"
)

// mentions reports whether statement contains name, compared as SQLite compares names: in upper or lower case, with any
// of the quotes that SQLite accepts. A string counts, too: SQLite takes a string for a name where no other meaning
// fits. A comment does not count.
func mentions(statement, name string) bool {
	return slices.ContainsFunc(namesIn(statement), func(n string) bool { return sameName(n, name) })
}

// sameName compares names as SQLite does: ASCII letters are equal in upper and lower case.
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

// isOwn reports whether a table is a table of the journal.
func isOwn(table string) bool {
	return slices.ContainsFunc(Tables, func(name string) bool { return sameName(name, table) })
}

// namesIn returns the names, words and strings of statement.
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

// isWord reports whether c can be part of a name without quotes.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c >= 0x80
}

// quotedName returns the quoted name at the start of s, and the rest of s. A doubled quote is a quote in the name.
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

// after returns the part of s after end, or "" when s does not contain end.
func after(s, end string) string {
	_, rest, _ := strings.Cut(s, end)
	return rest
}

// Quote returns name as a quoted SQL identifier.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
