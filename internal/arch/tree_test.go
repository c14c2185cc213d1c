package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/bustest/imports"
)

// checkout is the root of the tree, seen from this package.
const checkout = "../.."

// entries are the folders that the project has at its top. A new one is a decision: it belongs here and in checkImports.
var entries = []string{"bin", "bus", "cmd", "docs", "domain", "handlers", "internal", "transports"}

// source is one parsed Go file, with its text's length in lines.
type source struct {
	path  string
	fset  *token.FileSet
	file  *ast.File
	lines int
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// line is where a node starts.
func (s source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// at names a place in the form that editors open.
func (s source) at(pos token.Pos) string { return s.path + ":" + strconv.Itoa(s.line(pos)) }

// MustParse parses the text of a Go file.
func MustParse(tb testing.TB, path string, text []byte) source {
	tb.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		tb.Fatalf("parse: %v", err)
	}
	return source{path: path, fset: fset, file: parsed, lines: strings.Count(string(text), "\n")}
}

// MustFiles lists the tree's files that end in suffix, by their path from the root. Hidden folders, bin and testdata
// are not part of the tree.
func MustFiles(tb testing.TB, suffix string) []string {
	tb.Helper()
	var found []string
	err := filepath.WalkDir(checkout, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != checkout && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, suffix) {
			rel, err := filepath.Rel(checkout, path)
			if err != nil {
				return err
			}
			found = append(found, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("walk the tree: %v", err)
	}
	if len(found) == 0 {
		tb.Fatalf("no file ends in %s: is %s still the root of the tree?", suffix, checkout)
	}
	return found
}

// MustRead reads a file of the tree.
func MustRead(tb testing.TB, path string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, path))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// MustSources parses every Go file of the tree but generated ones.
func MustSources(tb testing.TB) []source {
	tb.Helper()
	var sources []source
	for _, path := range MustFiles(tb, ".go") {
		s := MustParse(tb, path, MustRead(tb, path))
		if !ast.IsGenerated(s.file) {
			sources = append(sources, s)
		}
	}
	return sources
}

// imported lists what a file imports.
func imported(tb testing.TB, s source) file {
	tb.Helper()
	f := file{path: s.path}
	for _, spec := range s.file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			tb.Fatalf("%s: %v", s.at(spec.Pos()), err)
		}
		f.imports = append(f.imports, path)
	}
	return f
}

func report(t *testing.T, found []violation) {
	t.Helper()
	for _, v := range found {
		t.Error(v)
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	var files []file
	for _, path := range MustFiles(t, ".go") {
		if s := MustParse(t, path, MustRead(t, path)); !s.isTest() {
			files = append(files, imported(t, s))
		}
	}
	report(t, checkImports(files))
}

func TestSizesAndHabits(t *testing.T) {
	t.Parallel()
	for _, s := range MustSources(t) {
		report(t, checkSource(s))
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, path := range MustFiles(t, ".sql") {
		if module, ok := schemaOf(path); ok {
			report(t, checkSchema(path, module, string(MustRead(t, path))))
		}
	}
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	found, err := os.ReadDir(checkout)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(entries, e.Name()) {
			t.Error(violation{e.Name() + "/", "the folders at the top are " + strings.Join(entries, ", "),
				"put it below one of them, or add it to entries in internal/arch with its rule for imports"})
		}
	}
}

// TestBorders: the check for users' own modules agrees with the rules above.
func TestBorders(t *testing.T) {
	t.Parallel()
	imports.Check(t, checkout, "domain/inventory", "domain/notification", "domain/order", "domain/payment", "domain/shipping")
}
