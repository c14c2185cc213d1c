package journal_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/troupebus/troupe/bus/journal"
)

func TestCut(t *testing.T) {
	t.Parallel()
	if got := journal.Cut("short", 10); got != "short" {
		t.Errorf("a short text becomes %q", got)
	}
	for _, text := range []string{strings.Repeat("x", 20<<20), strings.Repeat("ä", 10_000), "a" + strings.Repeat("ä", 10_000), strings.Repeat("\x80", 10_000)} {
		got := journal.Cut(text, journal.MaxError)
		if len(got) > journal.MaxError || len(got) < journal.MaxError-8 || !strings.HasSuffix(got, " bytes)") || utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%d bytes become %d: …%q", len(text), len(got), got[len(got)-40:])
		}
	}
}

func TestClipAndPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"a\x1b[2Jb": "a [2Jb", "\u202eabc\n\n": "abc", strings.Repeat("\n", 5000) + "x": "…", "Käse\xff": "Käse\uFFFD"} {
		if got := journal.Clip(text, 10); got != want {
			t.Errorf("%q becomes %q, want %q", text[:min(len(text), 20)], got, want)
		}
	}
	for text, want := range map[string]bool{"ord-1": true, "ord 1": true, "Käse": true, "a\u202eb": false, "a\nb": false, "\xff": false, "a\x1bb": false} {
		if journal.IsPrintable(text) != want {
			t.Errorf("%q is printable: %t", text, !want)
		}
	}
}
