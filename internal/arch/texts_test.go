package arch

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// inLibrary reports whether any program may import the package in the folder dir, or runs it without a command line.
func inLibrary(dir string) bool {
	top, rest, _ := strings.Cut(dir, "/")
	below, _, _ := strings.Cut(rest, "/")
	return slices.Contains([]string{"bus", "domain", "handlers", "transports"}, top) ||
		top == "internal" && (slices.Contains(leaves, below) || below == "front" || below == "httpserve")
}

// checkPrefix finds texts of errors that wrap another error and begin with the name of a package. The wrapped error may
// begin with the same name.
func checkPrefix(s source, packages []string) []violation {
	var found []violation
	for _, t := range textsOf(s) {
		first, _, prefixed := strings.Cut(t.text, ": ")
		if prefixed && slices.Contains(packages, first) && strings.Contains(t.text, "%w") {
			found = append(found, violation{s.at(t.pos) + ": " + strconv.Quote(t.text),
				"an error that wraps another does not begin with the name of a package, which the other may begin with",
				"leave the name out: an error that wraps nothing begins with it"})
		}
	}
	return found
}

// text is a string in a source. Strings that are added are one text.
type text struct {
	pos  token.Pos
	text string
}

// textsOf returns the strings of a file without its imports and tags.
func textsOf(s source) (texts []text) {
	var add func(n ast.Node) bool
	add = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			ast.Inspect(n.Type, add)
			return false
		case *ast.BasicLit, *ast.BinaryExpr:
			if joined, ok := joined(n.(ast.Expr)); ok {
				texts = append(texts, text{n.Pos(), joined})
				return false
			}
		}
		return true
	}
	ast.Inspect(s.file, add)
	return texts
}

// joined returns the text of a string, or of strings that are added to each other, with "…" for other parts.
func joined(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			value, err := strconv.Unquote(e.Value)
			return value, err == nil
		}
	case *ast.BinaryExpr:
		left, isLeft := joined(e.X)
		right, isRight := joined(e.Y)
		if e.Op == token.ADD && (isLeft || isRight) {
			if !isLeft {
				left = "…"
			}
			if !isRight {
				right = "…"
			}
			return left + right, true
		}
	}
	return "", false
}

func TestTextsOfTheLibrary(t *testing.T) {
	t.Parallel()
	var library []source
	var packages []string
	for _, s := range MustSources(t) {
		if !s.isTest() && inLibrary(path.Dir(s.path)) {
			library, packages = append(library, s), append(packages, s.file.Name.Name)
		}
	}
	for _, s := range library {
		report(t, checkPrefix(s, packages))
	}
}

func TestCheckTexts(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, prefix string }{
		{"root", `errors.New("sqlite: closed")`, ""},
		{"root with an argument", `fmt.Errorf("sqlite: feed %s is open", f)`, ""},
		{"wrap", `fmt.Errorf("read: %w", err)`, ""},
		{"wrap of a sentinel", `fmt.Errorf("%w: sqlite: %w", ErrClosed, err)`, ""},
		{"wrap with a prefix", `fmt.Errorf("sqlite: read: %w", err)`, "an error that wraps another"},
		{"wrap with a prefix, in two parts", `fmt.Errorf("sqlite: read " + name + ": %w", err)`, "an error that wraps another"},
		{"wrap that begins like a package", `fmt.Errorf("journal: %w", err)`, ""},
		{"tag", "struct {\n\tA int `flag:\"--journal\"`\n}{}", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := MustParse(t, "a.go", []byte("package a\n\nvar a = "+tt.text+"\n"))
			expectRule(t, checkPrefix(s, []string{"sqlite"}), tt.prefix)
		})
	}
}
