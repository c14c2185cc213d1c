package order

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The maximal lengths of names, in characters. With these limits, every event about an order of MaxLines lines is
// small enough for the bus if the order's order.placed was.
const (
	MaxName   = 64  // a sku, and the code of a charge
	MaxPerson = 128 // a customer's id
	MaxID     = 128 // an order's id
)

// BadName returns the reason why s is not a name of up to limit characters, or "" for a valid name. A name is visible
// UTF-8, without control characters, line separators and Unicode's format characters such as U+202E, which change the
// display of the characters around them. An empty name is valid.
func BadName(s string, limit int) string {
	if n := utf8.RuneCountInString(s); n > limit {
		return fmt.Sprintf("has %d characters: at most %d", n, limit)
	}
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return "is not UTF-8"
		case r >= ' ' && r < 0x7f:
		case unicode.IsControl(r):
			return fmt.Sprintf("must not have control characters: it has %U", r)
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			return fmt.Sprintf("must not have invisible characters: it has %U", r)
		case r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef:
			return fmt.Sprintf("has %U, which is not a character", r)
		}
	}
	return ""
}

// checkName returns the problem of a name, if any; an empty name is fine. field names the field in the error.
func checkName(field, name string, limit int) []error {
	if bad := BadName(name, limit); bad != "" {
		return []error{fmt.Errorf("%s %s", field, bad)}
	}
	return nil
}
