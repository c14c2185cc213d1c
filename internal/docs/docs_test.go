//go:build unix

// Package docs checks the pages: it runs the code blocks of README.md and docs/**/*.md and follows their links. All
// rules:
//
//   - Every block names its language. Blocks in sh, bash, shell and console run, blocks in go compile, and other blocks
//     are only read.
//   - A shell block is a session: bash runs a line "$ command", and the lines after it are the expected output (of both
//     streams). The command must exit with 0. A command that ends in \ continues in the next line. A line with only …
//     stands for any number of lines, and … within a line for any text. Lines before the first command are comments (#)
//     or empty.
//   - All sessions of a page run in one shell, in order, in an empty folder, with a fresh troupe on the PATH and empty
//     input. Processes in the background are killed at the end of the page.
//   - A go block is a whole file, or declarations. Declarations without imports get imports: a name before a dot that the
//     block does not declare is the only package of that name in this module, or else in the standard library.
//   - A comment on the line before a block changes the block:
//     <!-- run --> the go program also runs; a text block right after it is its output.
//     <!-- file: path --> the block is that file of the checkout, for the go blocks of this page.
//     <!-- from: path --> the block is in that file of the checkout, word for word; a test file also runs.
//     <!-- in the checkout --> the session starts in the root of the checkout, not in the page's folder.
//     <!-- skip: reason --> the block is ignored, and reported as a skipped test.
//   - A link to a file, a folder or a heading of this repository has a target.
package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// finding is a mistake in a page.
type finding struct {
	line int
	text string
}

// MustCheckout returns the root of the repository.
func MustCheckout(tb testing.TB) string {
	tb.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// MustPages reads README.md, the other pages in the root, and all pages below docs.
func MustPages(tb testing.TB, root string) []page {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		tb.Fatal(err)
	}
	if !slices.Contains(names, filepath.Join(root, "README.md")) {
		tb.Fatal("README.md is missing")
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ os.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	pages := make([]page, 0, len(names))
	for _, name := range names {
		pages = append(pages, MustPage(tb, root, name))
	}
	return pages
}

// MustPage reads the page with the absolute name.
func MustPage(tb testing.TB, root, name string) page {
	tb.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		tb.Fatal(err)
	}
	return parsePage(filepath.ToSlash(rel), string(text))
}

// MustTroupe builds the program into a folder for the PATH.
func MustTroupe(tb testing.TB, root string) string {
	tb.Helper()
	dir := tb.TempDir()
	build := exec.CommandContext(tb.Context(), "go", "build", "-o", filepath.Join(dir, "troupe"), "./cmd/troupe")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build troupe for the sessions: %v\n%s", err, out)
	}
	return dir
}

func TestPages(t *testing.T) {
	t.Parallel()
	root := MustCheckout(t)
	pages := MustPages(t, root)
	bin := ""
	if slices.ContainsFunc(pages, func(p page) bool { return len(p.sessions()) > 0 }) {
		bin = MustTroupe(t, root)
	}
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			found := slices.Concat(p.wrong, checkLinks(root, p), checkQuotes(root, p), checkGo(t, root, p), checkSessions(t, root, bin, p))
			for _, f := range found {
				t.Errorf("%s:%d: %s", p.name, f.line, f.text)
			}
			for _, b := range p.blocks {
				if b.is == skipped {
					t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) { t.Skip(b.arg) })
				}
			}
		})
	}
}

// checkQuotes looks for each quoted block in its file; the indent of the whole block may differ.
func checkQuotes(root string, p page) []finding {
	var found []finding
	for _, b := range p.blocks {
		if b.is != quoted {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, b.arg))
		if err != nil {
			found = append(found, finding{b.line, err.Error()})
		} else if !strings.Contains(unindented(string(text)), unindented(b.text)) {
			found = append(found, finding{b.line, "the block is not in " + b.arg + " any more: copy it again"})
		}
	}
	return found
}

// unindented returns text without the white space before its lines.
func unindented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text)) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestCheckQuotes(t *testing.T) {
	t.Parallel()
	root := MustModule(t)
	page := func(text string) page {
		return parsePage("a.md", lines("<!-- from: greet/a.go -->", "```go", text, "```"))
	}
	expectFindings(t, checkQuotes(root, page("\t// Hello greets.")))
	expectFindings(t, checkQuotes(root, page("// Hello shouts.")), "2: the block is not in greet/a.go any more")
	expectFindings(t, checkQuotes(root, parsePage("a.md", lines("<!-- from: greet/no.go -->", "```go", "x", "```"))), "no such file")
}

// expectFindings expects a finding for each of wants, in order, and with its text.
func expectFindings(t *testing.T, found []finding, wants ...string) {
	t.Helper()
	if len(found) != len(wants) {
		t.Fatalf("found %+v, want %d: %q", found, len(wants), wants)
	}
	for i, want := range wants {
		if !strings.Contains(fmt.Sprintf("%d: %s", found[i].line, found[i].text), want) {
			t.Errorf("found %d: %s\nwant %q", found[i].line, found[i].text, want)
		}
	}
}
