//go:build unix

package docs

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	inlineCode = regexp.MustCompile("`+[^`]*`+")
	// link matches the target of [text](target), of [name]: target, and of href and src.
	link     = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)|^\s*\[[^\]^]+\]:\s*<?([^\s>]+)|(?:href|src)="([^"]+)"`)
	external = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*:|//)`)
	heading  = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	linkText = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	anchorID = regexp.MustCompile(`<a [^>]*(?:id|name)="([^"]+)"`)
)

// checkLinks follows the page's links into the repository. It ignores other links: a test needs no network.
func checkLinks(root string, p page) []finding {
	var found []finding
	for i, line := range p.prose {
		for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
			target := m[1] + m[2] + m[3]
			if external.MatchString(target) {
				continue
			}
			if text := follow(root, p, target); text != "" {
				found = append(found, finding{i + 1, text})
			}
		}
	}
	return found
}

// follow returns what is wrong with a link's target, or "".
func follow(root string, p page, target string) string {
	name, anchor, _ := strings.Cut(target, "#")
	to := p
	if name != "" {
		file := path.Join(path.Dir(p.name), name)
		if strings.HasPrefix(name, "/") {
			file = path.Clean(name[1:])
		}
		if !filepath.IsLocal(file) {
			return "the link leaves the repository: " + target
		}
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			return "the link leads nowhere: " + target
		}
		if anchor == "" || path.Ext(file) != ".md" {
			return ""
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return fmt.Sprintf("the link's page cannot be read: %v", err)
		}
		to = parsePage(file, string(text))
	}
	if anchor != "" && !slices.Contains(anchors(to), anchor) {
		return "the page has no heading for the link: " + target
	}
	return ""
}

// anchors returns the anchors of the page's headings, as GitHub builds them.
func anchors(p page) []string {
	var list []string
	seen := map[string]int{}
	for _, line := range p.prose {
		for _, m := range anchorID.FindAllStringSubmatch(line, -1) {
			list = append(list, m[1])
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		s := slug(m[1])
		if n := seen[s]; n > 0 {
			list = append(list, fmt.Sprintf("%s-%d", s, n))
		} else {
			list = append(list, s)
		}
		seen[s]++
	}
	return list
}

func slug(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, linkText.ReplaceAllString(title, "$1"))
}

func TestCheckLinks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"docs/a.md":     "# The `bus` & [you](b.md)\n## Twice\n## Twice\n```text\n# Not a heading\n```\n<a id=\"own\"></a>\n",
		"docs/sub/c.md": "",
		"LICENSE":       "",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, text, wants string }{
		{"a file", "see [a](a.md) and ![c](sub/c.md \"title\")", ""},
		{"a folder", "[sub](sub/)", ""},
		{"from the root", "[l](/LICENSE)", ""},
		{"up", "[l](../LICENSE)", ""},
		{"headings", "[1](a.md#the-bus--you) [2](a.md#twice) [3](a.md#twice-1) [4](a.md#own)", ""},
		{"own heading", "# Here\n[h](#here)", ""},
		{"elsewhere", "[w](https://example.com/x.md) <a href=\"mailto:a@example.com\">m</a> [p](//example.com)", ""},
		{"in code", "`[a](nothing.md)`\n```text\n[a](nothing.md)\n```", ""},
		{"no such file", "\n[a](nothing.md)", "2: the link leads nowhere: nothing.md"},
		{"no such image", "<img src=\"nothing.png\">", "1: the link leads nowhere"},
		{"no such definition", "[a]: nothing.md", "1: the link leads nowhere"},
		{"no such heading", "[a](a.md#not-a-heading)", "1: the page has no heading"},
		{"no such heading here", "[a](#here)", "1: the page has no heading"},
		{"outside", "[a](../../etc/passwd)", "1: the link leaves the repository"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var wants []string
			if tt.wants != "" {
				wants = []string{tt.wants}
			}
			expectFindings(t, checkLinks(root, parsePage("docs/page.md", tt.text)), wants...)
		})
	}
}
