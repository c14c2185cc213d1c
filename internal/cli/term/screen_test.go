package term

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// unsafe is the first character of text that a terminal would not show but obey, or 0.
func unsafe(text string) rune {
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			return r
		}
	}
	return 0
}

func TestScreen(t *testing.T) {
	t.Parallel()
	write := func(isJSON bool, parts ...string) string {
		var b strings.Builder
		s := NewScreen(&b, &isJSON)
		for _, p := range parts {
			if n, err := s.Write([]byte(p)); n != len(p) || err != nil {
				t.Fatalf("%q: %d, %v", p, n, err)
			}
		}
		return b.String()
	}
	for text, want := range map[string]string{
		"plain\n": "plain\n", "\x1b[31mred\x1b[0m": "\x1b[31mred\x1b[0m", "\r\x1b[K3 orders": "\r\x1b[K3 orders",
		"\x1b]0;title\a": "\uFFFD]0;title\uFFFD", "\x1b[2J": "\uFFFD[2J", "a\u202eb\u009b": "a\uFFFDb\uFFFD", "Käse\xff": "Käse\uFFFD",
	} {
		if got := write(false, text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := write(false, "K\xc3", "\xa4se"); got != "Käse" {
		t.Errorf("a character in two writes becomes %q", got)
	}
	var back string
	text := write(true, `"`+"a\u202eb\U000E0041\u009b"+`"`)
	if err := json.Unmarshal([]byte(text), &back); err != nil || back != "a\u202eb\U000E0041\u009b" || unsafe(text) != 0 {
		t.Errorf("JSON becomes %q, which means %q (%v)", text, back, err)
	}
}
