//go:build unix

package docs

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// directive is the instruction in the comment before a block.
type directive int

const (
	plain directive = iota
	run
	asFile
	quoted
	inCheckout
	skipped
)

// block is a fenced block; line is the line of its fence.
type block struct {
	line int
	lang string
	is   directive
	arg  string // the reason of skipped; the path of asFile and quoted
	text string
}

// isShell and isGo report the use of a block that is not skipped.
func (b block) isShell() bool {
	return b.is != skipped && b.is != quoted && slices.Contains([]string{"sh", "bash", "shell", "console"}, b.lang)
}

func (b block) isGo() bool {
	return b.is != skipped && b.is != asFile && b.is != quoted && b.lang == "go"
}

// page is a Markdown file, with the mistakes in its form.
type page struct {
	name   string
	blocks []block
	prose  []string // every line, with the lines of blocks empty
	wrong  []finding
}

// sessions returns the blocks for the shell, in order.
func (p page) sessions() []block {
	return slices.DeleteFunc(slices.Clone(p.blocks), func(b block) bool { return !b.isShell() })
}

var (
	fence   = regexp.MustCompile("^( *)(`{3,}|~{3,}) *([^\\s`]*)")
	comment = regexp.MustCompile(`^\s*<!--\s*(.*?)\s*-->\s*$`)
)

// parsePage splits a page into its blocks and the prose around them.
func parsePage(name, text string) page {
	p := page{name: name}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		m := fence.FindStringSubmatch(lines[i])
		if m == nil {
			p.prose = append(p.prose, lines[i])
			continue
		}
		end := closing(lines, i, m[2])
		if end == len(lines) {
			p.wrong = append(p.wrong, finding{i + 1, "the block has no end"})
		}
		p.addBlock(block{line: i + 1, lang: m[3], text: dedent(lines[i+1:end], len(m[1]))})
		p.prose = append(p.prose, make([]string, min(end+1, len(lines))-i)...)
		i = end
	}
	return p
}

// closing returns the line that closes the fence opened at start, or the end of the page.
func closing(lines []string, start int, mark string) int {
	for i := start + 1; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if len(line) >= len(mark) && strings.Trim(line, mark[:1]) == "" {
			return i
		}
	}
	return len(lines)
}

// dedent removes the indent of the fence, and joins a block's lines to its text.
func dedent(lines []string, indent int) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line[min(indent, len(line)-len(strings.TrimLeft(line, " "))):] + "\n")
	}
	return b.String()
}

// addBlock reads the comment on the line before a block; an empty line between them is allowed.
func (p *page) addBlock(b block) {
	before := ""
	for _, line := range slices.Backward(p.prose[max(0, len(p.prose)-2):]) {
		if before = cmp.Or(before, strings.TrimSpace(line)); before != "" {
			break
		}
	}
	if m := comment.FindStringSubmatch(before); m != nil {
		p.direct(&b, m[1])
	}
	if b.lang == "" && b.is != skipped {
		p.wrong = append(p.wrong, finding{b.line, "the block says no language; write text if it is not to be run"})
	}
	p.blocks = append(p.blocks, b)
}

// direct applies a comment to the block after it. An unknown comment is a mistake: it may be a misspelt skip.
func (p *page) direct(b *block, text string) {
	word, arg, _ := strings.Cut(text, ":")
	b.arg = strings.TrimSpace(arg)
	switch {
	case word == "skip" && b.arg != "":
		b.is = skipped
	case word == "file" && filepath.IsLocal(b.arg):
		b.is = asFile
	case word == "from" && filepath.IsLocal(b.arg):
		b.is = quoted
	case text == "run" && b.isGo():
		b.is = run
	case text == "in the checkout" && b.isShell():
		b.is = inCheckout
	default:
		p.wrong = append(p.wrong, finding{b.line, "the comment before this block is none of run, file, from, in the checkout, skip with a reason: " + text})
	}
}

func TestParsePage(t *testing.T) {
	t.Parallel()
	p := parsePage("a.md", strings.Join([]string{
		"# Title", "```go", "package a", "", "```", "<!-- skip: needs a broker -->", "", "1. step", "", // 1-9
		"   <!-- skip: needs a broker -->", "   ```console", "   $ ls", "     deep", "out", "   ```", // 10-15
		"<!-- file: domain/x/x.go -->", "~~~~go", "~~~", "```", "~~~~", "<!-- run -->", "```go", "```", // 16-23
		"<!-- in the checkout -->", "```sh", "$ make", "```", "tail", // 24-28
	}, "\n"))
	want := []block{
		{line: 2, lang: "go", text: "package a\n\n"},
		{line: 11, lang: "console", is: skipped, arg: "needs a broker", text: "$ ls\n  deep\nout\n"},
		{line: 17, lang: "go", is: asFile, arg: "domain/x/x.go", text: "~~~\n```\n"},
		{line: 22, lang: "go", is: run},
		{line: 25, lang: "sh", is: inCheckout, text: "$ make\n"},
	}
	if !slices.Equal(p.blocks, want) {
		t.Errorf("blocks\n got %+v\nwant %+v", p.blocks, want)
	}
	expectFindings(t, p.wrong)
	if len(p.prose) != 28 || p.prose[27] != "tail" || p.prose[1] != "" {
		t.Errorf("prose has %d lines, want 28 with the blocks' empty: %q", len(p.prose), p.prose)
	}
}

func TestParsePageFindsBadForm(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, wants string }{
		{"no end", "```go\npackage a\n", "1: the block has no end"},
		{"no language", "\n```\n$ ls\n```\n", "2: the block says no language"},
		{"misspelt skip", "<!-- skp: later -->\n```go\n```\n", "2: the comment before"},
		{"skip without a reason", "<!-- skip: -->\n```go\n```\n", "2: the comment before"},
		{"run of something else", "<!-- run -->\n```json\n```\n", "2: the comment before"},
		{"checkout of something else", "<!-- in the checkout -->\n```go\n```\n", "2: the comment before"},
		{"quote from outside", "<!-- from: ../x.go -->\n```go\n```\n", "2: the comment before"},
		{"file outside", "<!-- file: ../x.go -->\n```go\n```\n", "2: the comment before"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expectFindings(t, parsePage("a.md", tt.text).wrong, tt.wants)
		})
	}
}
