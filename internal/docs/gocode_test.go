//go:build unix

package docs

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// packageNames maps a package's name to its import paths, in this module and in the standard library.
type packageNames struct{ own, std map[string][]string }

// listed runs the go command once per test run.
var listed = sync.OnceValues(func() (packageNames, error) {
	names := packageNames{own: map[string][]string{}, std: map[string][]string{}}
	list := exec.Command("go", "list", "-e", "-f", "{{.Standard}} {{.Name}} {{.ImportPath}}", "./...", "std")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		return names, fmt.Errorf("list packages: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || strings.Contains("/"+fields[2]+"/", "/internal/") || strings.HasPrefix(fields[2], "vendor/") {
			continue
		}
		in := names.own
		if fields[0] == "true" {
			in = names.std
		}
		in[fields[1]] = append(in[fields[1]], fields[2])
	}
	return names, nil
})

// path returns the import path of the only package with the name. Packages of this module come first.
func (n packageNames) path(name string) (string, bool) {
	for _, in := range []map[string][]string{n.own, n.std} {
		if len(in[name]) > 0 {
			return in[name][0], len(in[name]) == 1
		}
	}
	return "", false
}

// complete returns a block as a compilable file. Messages of the compiler have the line numbers of the page.
func complete(names packageNames, name string, b block) (string, error) {
	here := fmt.Sprintf("//line %s:%d\n", name, b.line+1)
	if _, err := parser.ParseFile(token.NewFileSet(), "", b.text, parser.PackageClauseOnly); err == nil {
		return here + b.text, nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package block;"+b.text, parser.SkipObjectResolution)
	if err != nil {
		return "", fmt.Errorf("neither a whole file nor declarations: %w", err)
	}
	var imports strings.Builder
	for _, name := range wanted(parsed) {
		if path, ok := names.path(name); ok {
			fmt.Fprintf(&imports, "import %s %q\n", name, path)
		}
	}
	return "package block\n" + imports.String() + here + b.text, nil
}

// wanted returns the names that stand before a dot and that the file does not declare, or none if the file has
// imports.
func wanted(f *ast.File) []string {
	if len(f.Imports) > 0 {
		return nil
	}
	used, known := map[string]bool{}, map[string]bool{}
	declare := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			if id, ok := e.(*ast.Ident); ok {
				known[id.Name] = true
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok {
				used[id.Name] = true
			}
		case *ast.Field:
			for _, id := range n.Names {
				declare(id)
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				declare(id)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				declare(n.Lhs...)
			}
		case *ast.RangeStmt:
			declare(n.Key, n.Value)
		}
		return true
	})
	var names []string
	for name := range used {
		if !known[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// overlay lays a page's go code over the checkout, and touches no file of the checkout.
type overlay struct {
	root     string
	name     string // file that go reads the overlay from
	replace  map[string]string
	packages []string
}

// add puts text at a path of the checkout, and adds its folder to the packages to compile.
func (o *overlay) add(dir, path, text string) error {
	behind := filepath.Join(dir, fmt.Sprintf("%d%s", len(o.replace), filepath.Ext(path)))
	o.replace[filepath.Join(o.root, path)] = behind
	if pkg := "./" + filepath.ToSlash(filepath.Dir(path)); filepath.Ext(path) == ".go" && !slices.Contains(o.packages, pkg) {
		o.packages = append(o.packages, pkg)
	}
	return os.WriteFile(behind, []byte(text), 0o600)
}

// build runs go build over the checkout with the overlay.
func (o *overlay) build(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-overlay", o.name}, args...)...)
	cmd.Dir = o.root
	return cmd
}

// checkGo compiles all go code of the page together, and then runs the programs.
func checkGo(tb testing.TB, root string, p page) []finding {
	tb.Helper()
	names, err := listed()
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	o := &overlay{root: root, name: filepath.Join(dir, "overlay.json"), replace: map[string]string{}}
	var found []finding
	for _, b := range p.blocks {
		path, text := b.arg, b.text
		switch {
		case b.isGo():
			path = packageOf(b) + "/block.go"
			text, err = complete(names, filepath.Join(root, p.name), b)
		case b.is != asFile:
			continue
		}
		if err != nil {
			found = append(found, finding{b.line, err.Error()})
		} else if err := o.add(dir, path, text); err != nil {
			tb.Fatal(err)
		}
	}
	if len(o.packages) == 0 {
		return found
	}
	MustWriteJSON(tb, o.name, map[string]any{"Replace": o.replace})
	// Not go vet: it steps into each package's folder, and these are in the overlay only.
	if out, err := o.build(tb.Context(), append([]string{"-o", os.DevNull}, o.packages...)...).CombinedOutput(); err != nil {
		return append(found, finding{1, "the go blocks do not compile:\n" + string(out)})
	}
	for i, b := range p.blocks {
		if b.is == run {
			found = append(found, runBlock(tb, o, b, p.blocks[i+1:])...)
		}
	}
	return found
}

// packageOf returns the folder in which a block without a file is compiled: inside of the module, so that the block
// can import it.
func packageOf(b block) string { return fmt.Sprintf("internal/docs/block%d", b.line) }

// runBlock runs a program in an empty folder, and compares its output with the text block after it, if any.
func runBlock(tb testing.TB, o *overlay, b block, after []block) []finding {
	tb.Helper()
	dir := tb.TempDir()
	program := filepath.Join(dir, "program")
	if out, err := o.build(tb.Context(), "-o", program, "./"+packageOf(b)).CombinedOutput(); err != nil {
		return []finding{{b.line, "the program does not build:\n" + string(out)}}
	}
	ctx, cancel := context.WithTimeout(tb.Context(), sessionLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = tb.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return []finding{{b.line, fmt.Sprintf("the program failed: %v\n%s", err, out)}}
	}
	if len(after) == 0 || after[0].lang != "text" || after[0].is != plain {
		return nil
	}
	if miss := mismatch(strings.Split(after[0].text, "\n"), string(out)); miss != "" {
		return []finding{{after[0].line, miss}}
	}
	return nil
}

// MustWriteJSON writes v to a file.
func MustWriteJSON(tb testing.TB, name string, v any) {
	tb.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		tb.Fatal(err)
	}
}
