//go:build unix

// Package docs keeps what is written true: it runs the code blocks of README.md and docs/**/*.md and follows their
// links. Its rules, all of them:
//
//   - Every block says its language. Blocks in sh, bash, shell and console are run, blocks in go are compiled, others are
//     only read.
//   - A shell block is a session: a line "$ command" is run by bash, the lines after it are the output (of both streams)
//     that must come, and the command must exit with 0. A command that ends in \ goes on in the next line. A line that is
//     only … stands for any number of lines, … within a line for any text: write it for what varies. Lines before the
//     first command are comments (#) or empty.
//   - All sessions of a page are one shell, in order, in an empty folder, with a fresh troupe on the PATH and nothing on
//     its input. What it leaves running in the background is killed at the end of the page.
//   - A go block is a whole file, or declarations. Declarations without imports get them: a name before a dot that
//     the block does not declare is the one package of that name in this module, or else in the standard library.
//   - A block is changed by a comment on the line before it:
//     <!-- run --> a go program is run too; a text block right after it is its output.
//     <!-- file: path --> the block is that file of the checkout, for the go blocks of this page.
//     <!-- from: path --> the block is in that file of the checkout, word for word: where the file is a test, it is run.
//     <!-- in the checkout --> the session starts in the root of the checkout, not in the page's folder.
//     <!-- skip: reason --> the block is not looked at, and reported as a skipped test.
//   - A link to a file, a folder or a heading of this repository leads to one.
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

// finding is one place where a page does not hold.
type finding struct {
	line int
	text string
}

// MustCheckout is the root of the repository.
func MustCheckout(tb testing.TB) string {
	tb.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// MustPages reads README.md, the other pages at the top, and everything below docs.
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

// MustPage reads one page by its absolute name.
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

// MustTroupe builds the program into a folder that is to go on the PATH.
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

// checkQuotes looks for each quoted block in the file that it is from; the indent of the whole may differ.
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

// unindented is text without the white space before its lines.
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

// expectFindings wants one finding for each of wants, in order, each containing its text.
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
