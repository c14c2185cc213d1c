package docs

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/troupebus/troupe/"

// usual are methods without a line in the comment of an alias: readers know them from the standard library.
var usual = []string{"Error", "Is", "Unwrap", "Format", "String", "MarshalJSON", "MarshalText", "UnmarshalText"}

// TestAliasesShowTheirMembers checks the doc comments of exported aliases of internal types. go doc shows no member of
// such a type: the comment must have every exported field, and every exported method with the first sentence about it.
func TestAliasesShowTheirMembers(t *testing.T) {
	t.Parallel()
	found := 0
	for _, dir := range publicFolders(t) {
		for _, f := range parsedFolder(t, dir) {
			for name, alias := range aliasesOf(f) {
				found++
				text := oneLine(alias.text)
				for _, want := range members(t, alias) {
					if !strings.Contains(text, oneLine(want)) {
						t.Errorf("%s.%s is an alias of an internal type, and its comment lacks a member:\n%s", path.Base(dir), name, want)
					}
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d aliases of internal types", found)
	}
}

// publicFolders returns the folders of packages that users import.
func publicFolders(t *testing.T) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || !entry.IsDir():
			return err
		case slices.Contains([]string{".git", "internal", "testdata", "cmd", "docs"}, entry.Name()):
			return filepath.SkipDir
		}
		dirs = append(dirs, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func parsedFolder(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// alias is an exported name of a type in an internal package.
type alias struct{ text, dir, name string }

func aliasesOf(f *ast.File) map[string]alias {
	imported := map[string]string{}
	for _, i := range f.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); strings.HasPrefix(p, modulePath) && strings.Contains(p, "/internal/") {
			imported[path.Base(p)] = strings.TrimPrefix(p, modulePath)
		}
	}
	found := map[string]alias{}
	for _, decl := range f.Decls {
		types, ok := decl.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, s := range types.Specs {
			spec := s.(*ast.TypeSpec)
			target, ok := spec.Type.(*ast.SelectorExpr)
			if !ok || !spec.Assign.IsValid() || !spec.Name.IsExported() || imported[target.X.(*ast.Ident).Name] == "" {
				continue
			}
			comment := spec.Doc.Text()
			if comment == "" {
				comment = types.Doc.Text()
			}
			found[spec.Name.Name] = alias{comment, imported[target.X.(*ast.Ident).Name], target.Sel.Name}
		}
	}
	return found
}

// members returns the lines about the exported members of the type.
func members(t *testing.T, of alias) (lines []string) {
	t.Helper()
	for _, f := range parsedFolder(t, filepath.Join("../..", of.dir)) {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil && d.Name.IsExported() && !slices.Contains(usual, d.Name.Name) &&
					strings.TrimPrefix(source(t, d.Recv.List[0].Type), "*") == of.name {
					sentence := new(doc.Package).Synopsis(d.Doc.Text())
					lines = append(lines, source(t, &ast.FuncDecl{Recv: d.Recv, Name: d.Name, Type: d.Type})+"\n"+sentence)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if spec, ok := s.(*ast.TypeSpec); ok && spec.Name.Name == of.name {
						lines = append(lines, fields(t, spec)...)
					}
				}
			}
		}
	}
	for i := range lines {
		for _, room := range []string{"reader.", "dbfile."} { // the alias is in the package of the comment
			lines[i] = strings.ReplaceAll(lines[i], room, "")
		}
	}
	return lines
}

func fields(t *testing.T, spec *ast.TypeSpec) (lines []string) {
	t.Helper()
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	for _, f := range s.Fields.List {
		var names []string
		for _, n := range f.Names {
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
		if len(names) > 0 {
			line := strings.Join(names, ", ") + " " + source(t, f.Type)
			if text := f.Comment.Text(); text != "" {
				line += " // " + text
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func source(t *testing.T, node any) string {
	t.Helper()
	var text bytes.Buffer
	if err := format.Node(&text, token.NewFileSet(), node); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("( ", "(", ", )", ")", ",)", ")").Replace(oneLine(text.String()))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
