package order

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The lengths of names, in characters. With them every event about an order of MaxLines lines stays below what a bus carries,
// once its order.placed did.
const (
	MaxName   = 64  // of a sku and of a charge's code
	MaxPerson = 128 // of a customer's id
	MaxID     = 128 // of an order's
)

// BadName returns what is wrong with s as a name of up to limit characters, or "". A name is UTF-8 that can be seen: it has no
// control characters, no line separators, and none of Unicode's format characters, such as U+202E, which change how the
// others are shown. An empty one is fine.
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
			return fmt.Sprintf("has %U, which is no character", r)
		}
	}
	return ""
}

// checkName returns what is wrong with the name that what has, which may be empty.
func checkName(what, name string, limit int) []error {
	if bad := BadName(name, limit); bad != "" {
		return []error{fmt.Errorf("%s %s", what, bad)}
	}
	return nil
}
