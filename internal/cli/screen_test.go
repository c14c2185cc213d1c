package cli

import (
	"context"
	"github.com/troupebus/troupe/internal/cli/console"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// hostile is text that clears a screen, goes to a new line and turns the direction of what follows.
const hostile = "\x1b[2J\r\nord\u202e\u009b31m\u2028"

// unsafe is the first character of text that a terminal would not show but obey, or 0.
func unsafe(text string) rune {
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			return r
		}
	}
	return 0
}

func TestWhatCameFromElsewhereIsCleaned(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	hex := "CAST(x'1b5b324a0d0a6f7264e280ae' AS TEXT)"
	MustChange(t, p.path, "UPDATE events SET correlation_id = "+hex+", key = "+hex+", id = id || "+hex)
	MustChange(t, p.path, "UPDATE dead_letters SET error = error || "+hex+", stack = 'main.go:1' || char(10) || char(9) || "+hex)
	for _, args := range [][]string{{"dlq", "show", "1"}, {"dlq", "list"}, {"dlq", "list", "--causes"}, {"events"}, {"verify"}, {"trace", hostile[:7] + "ord\u202e"}} {
		var out strings.Builder
		uncleaned(&out, append(args, "--journal", p.path))
		if r := unsafe(out.String()); r != 0 {
			t.Errorf("troupe %q prints %q:\n%q", args, r, out.String())
		}
		if strings.Contains(out.String(), "troupe trace") {
			t.Errorf("troupe %q has a hint that nobody can type:\n%s", args, out.String())
		}
	}
}

func TestHintsThatCanBeTyped(t *testing.T) {
	t.Parallel()
	o := &console.Options{Program: shop()}
	for id, want := range map[string]string{"ord 1": "'ord 1'", hostile: "", "a\u202eb": "", "\xff": "", "Käse": "Käse"} {
		if got := o.Typed("trace", id); (got == "") != (want == "") || !strings.Contains(got, strings.Trim(want, "'")) {
			t.Errorf("the hint on %q is %q", id, got)
		}
	}
}

func TestUnknownSettingsAreCleaned(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.yaml")
	if err := os.WriteFile(path, []byte("\"\\e[2J\\nmodule\": order\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"config", "--config", path}, {"check", path}, {"run", "--config", path}} {
		var out strings.Builder
		code, err := MustFail(t, &out, args)
		if text := out.String() + console.Cleaned(err); unsafe(text) != 0 || code == 0 {
			t.Errorf("troupe %q: exit code %d, prints %q", args, code, text)
		}
	}
}

// MustFail runs a command, and returns its exit code and what its error says.
func MustFail(tb testing.TB, out *strings.Builder, args []string) (code int, text string) {
	tb.Helper()
	root := newRootCmd(&console.Options{Program: shop(), Stdin: eof{}, Stdout: out, Stderr: out})
	root.SetArgs(args)
	err := root.ExecuteContext(tb.Context())
	if err != nil {
		text = err.Error()
	}
	return console.ExitCode(err), text
}

func TestClip(t *testing.T) {
	t.Parallel()
	if got := console.Clip(strings.Repeat("x", 1000), 10); got != "xxxxxxxxx…" {
		t.Errorf("clipped to %q", got)
	}
}

// uncleaned runs a command without a screen, and returns its exit code.
func uncleaned(out io.Writer, args []string) int {
	root := newRootCmd(&console.Options{Program: shop(), Stdin: eof{}, Stdout: out, Stderr: out})
	root.SetArgs(args)
	return console.ExitCode(root.ExecuteContext(context.Background()))
}
