//go:build unix

package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMismatch(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, want, output, wants string }{
		{"the same", "a\nb", "a\nb\n", ""},
		{"nothing", "", "", ""},
		{"blank lines and spaces at the end", "a\n\n", "a  \n\n", ""},
		{"a blank first line", "\na", "\na\n", ""},
		{"any text", "took … ms (…)", "took 12.5 ms ()", ""},
		{"any lines", "a\n…\nz", "a\nb\nc\nz\n", ""},
		{"any lines may be none", "…\na\n…", "a\n", ""},
		{"signs of expressions", "a.c [x] (1+1)", "a.c [x] (1+1)", ""},
		{"another line", "a\nb", "a\nc\n", `fits "b"`},
		{"signs are no expressions", "a.c", "abc", `fits "a.c"`},
		{"any text is of one line", "a…c", "a\nc", `fits "a…c"`},
		{"part of a line", "ab", "abc", `fits "ab"`},
		{"less than shown", "a\nb", "a\n", `fits "b"`},
		{"more than shown", "a", "a\nb\n", "goes on"},
		{"something where nothing is shown", "", "a\n", "goes on"},
		{"any lines, and then another", "a\n…\nz", "a\nb\n", `fits "z"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := mismatch(strings.Split(tt.want, "\n"), tt.output)
			if (tt.wants == "") != (got == "") || !strings.Contains(got, tt.wants) {
				t.Errorf("mismatch = %q, want %q", got, tt.wants)
			}
		})
	}
}

// lines joins the lines of a page.
func lines(list ...string) string { return strings.Join(list, "\n") + "\n" }

func TestCheckSessions(t *testing.T) {
	t.Parallel()
	root, bin := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "in-the-checkout"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "troupe"), []byte("#!/bin/sh\necho troupe \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		wants      []string
	}{
		{"output", lines("```console", "$ troupe 'a b'", "troupe a b", "$ printf x; echo 1 >&2", "x1", "```"), nil},
		{"one shell for the page", lines("```sh", "$ mkdir d && cd d && export V=it\\'s", "```", "```sh", "$ echo $V ${PWD##*/}", "it's d", "```"), nil},
		{"long command", lines("```sh", "# first", "", "$ echo a \\", "  b \\", "  c", "a b c", "```"), nil},
		{"in the checkout and back", lines("<!-- in the checkout -->", "```sh", "$ ls", "in-the-checkout", "$ cd /", "```", "```sh", "$ ls", "```"), nil},
		{"background", lines("```sh", "$ sleep 600 &", "$ echo on", "on", "```"), nil},
		{"nothing on the input", lines("```sh", "$ cat", "```"), nil},
		{"skipped", lines("<!-- skip: no -->", "```sh", "$ false", "```"), nil},
		{"other language", lines("```text", "$ false", "```"), nil},
		{"wrong output", lines("```sh", "$ echo a", "b", "$ echo c", "c", "```"), []string{"2: $ echo a\nthe output has no line that fits \"b\""}},
		{"output not shown", lines("```sh", "$ echo a", "```"), []string{"2: $ echo a\nthe output goes on"}},
		{"fails", lines("```sh", "$ true", "$ (exit 3)", "```"), []string{"3: $ (exit 3)\nexit status 3"}},
		{"broken command breaks no other", lines("```sh", "$ echo 'a", "$ echo b", "b", "```"), []string{"2: $ echo 'a\nexit status"}},
		{"leaves the shell", lines("```sh", "$ exit 0", "$ echo b", "b", "```"), []string{"2: $ exit 0\ndid not end", "3: $ echo b\ndid not end"}},
		{"no command", lines("```sh", "", "```"), []string{"1: the session has no command"}},
		{"no sign before it", lines("```sh", "make demo", "```"), []string{"2: not a command"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expectFindings(t, checkSessions(t, root, bin, parsePage("a.md", tt.text)), tt.wants...)
		})
	}
}

func TestSessionEnv(t *testing.T) {
	t.Parallel()
	env := strings.Join(sessionEnv([]string{"MAKEFLAGS=-s", "MAKELEVEL=1", "MFLAGS=", "TROUPE_CRASH_KILLS=25", "HOME=/h"}, "/b"), "\n")
	if strings.Contains(env, "MAKE") || strings.Contains(env, "MFLAGS") || strings.Contains(env, "TROUPE_") {
		t.Errorf("the session inherits what belongs to make or to this run: %s", env)
	}
	if !strings.Contains(env, "HOME=/h") || !strings.Contains(env, "PATH=/b:") {
		t.Errorf("the session lacks HOME or the program on its PATH: %s", env)
	}
}

// MustModule creates a small module for pages.
func MustModule(tb testing.TB) string {
	tb.Helper()
	root := tb.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example.com/m\n\ngo 1.26\n",
		"greet/a.go": "package greet\n\n// Hello greets.\nfunc Hello() string { return \"hello\" }\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

func TestCheckGo(t *testing.T) {
	t.Parallel()
	root := MustModule(t)
	program := []string{"<!-- run -->", "```go", "package main", "", "import \"fmt\"", "", "func main() { fmt.Println(1, 2) }", "```"}
	with := func(more ...string) string { return lines(append(append([]string{}, program...), more...)...) }
	tests := []struct {
		name, text string
		wants      []string
	}{
		{"a file", lines("```go", "package a", "", "import \"example.com/m/greet\"", "", "var _ = greet.Hello()", "```"), nil},
		{"declarations", lines("```go", "// F does.", "func F(ctx context.Context, t time.Time) { fmt.Println(ctx, t) }", "```"), nil},
		{"declarations with imports", lines("```go", "import \"math/rand/v2\"", "", "var n = rand.N(3)", "```"), nil},
		{"the same name in two blocks", lines("```go", "type T int", "```", "```go", "type T int", "```"), nil},
		{
			"files of the checkout, used by a block",
			lines("<!-- file: bye/bye.go -->", "```go", "package bye", "", "import _ \"embed\"", "", "//go:embed b.sql", "var SQL string", "```",
				"<!-- file: bye/b.sql -->", "```sql", "SELECT 1", "```",
				"```go", "package a", "", "import \"example.com/m/bye\"", "", "var _ = bye.SQL", "```"),
			nil,
		},
		{"a program", with("```text", "1 …", "```"), nil},
		{"a program whose output is not shown", with(), nil},
		{"skipped", lines("<!-- skip: no -->", "```go", "nonsense", "```"), nil},
		{"nonsense", lines("```go", "b.Do(ctx)", "```"), []string{"1: neither a whole file nor declarations"}},
		{"a wrong type", lines("", "```go", "var a = 1", "var s string = a", "```"), []string{"a.md:4:"}},
		{"a package that there is not", lines("```go", "var a = nosuch.F()", "```"), []string{"undefined: nosuch"}},
		{"a file that breaks the checkout", lines("<!-- file: greet/b.go -->", "```go", "package greet", "func Hello() {}", "```"), []string{"Hello redeclared"}},
		{"another output", with("```text", "1 3", "```"), []string{"9: the output has no line that fits \"1 3\""}},
		{"a program that fails", lines("<!-- run -->", "```go", "package main", "", "func main() { panic(\"no\") }", "```"), []string{"2: the program failed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expectFindings(t, checkGo(t, root, parsePage("a.md", tt.text)), tt.wants...)
		})
	}
	t.Cleanup(func() { // after the parallel tests above
		left, err := os.ReadDir(root)
		if err != nil || len(left) != 2 {
			t.Errorf("the checkout holds %v, %v after the pages, want go.mod and greet only", left, err)
		}
	})
}

func TestComplete(t *testing.T) {
	t.Parallel()
	names := packageNames{
		own: map[string][]string{"bus": {"m/bus"}, "order": {"m/domain/order"}},
		std: map[string][]string{"bus": {"bus"}, "context": {"context"}, "rand": {"crypto/rand", "math/rand"}},
	}
	text := "func F(ctx context.Context, b *bus.Bus) {\n\torder := b.Order()\n\torder.Go(rand.N)\n\tfor i := range b.All() { i.Go() }\n}\n"
	got, err := complete(names, "/r/a.md", block{line: 7, text: text})
	want := "package block\nimport bus \"m/bus\"\nimport context \"context\"\n//line /r/a.md:8\n" + text
	if err != nil || got != want {
		t.Errorf("complete = %q, %v, want %q", got, err, want)
	}
}
