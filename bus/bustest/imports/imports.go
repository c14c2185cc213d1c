// Package imports checks that the modules of a program know only the contracts of each other.
//
// A module is a folder. Its contract is a folder, too: by default the one below the module with the module's name and
// "events", such as signup/signupevents. Handlers and tables of a module stay private, although Go lets every package
// import them.
//
// Package imports is a seam: a minor version may change the package, and the changelog says how.
package imports

import (
	"bufio"
	"errors"
	"fmt"
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

// Check fails the test for every import that crosses the border of a module. root is a folder, relative to the test,
// such as "..": the folder with go.mod, or a folder below. modules are the folders of all modules, relative to root.
//
//   - A contract imports the standard library only.
//   - A module imports contracts of other modules, but no other package of another module.
//
// Other packages of the program, such as main, may import every package. Tests of a module may import every package.
func Check(tb testing.TB, root string, modules ...string) {
	tb.Helper()
	CheckLayout(tb, root, ByName, modules...)
}

// Layout returns the folder of the contract of a module. Both folders are relative to the root of Check. A contract
// outside of its module must exist.
type Layout func(module string) (contract string)

// ByName is the Layout of Check: it returns signup/signupevents for signup.
func ByName(module string) string { return module + "/" + path.Base(module) + "events" }

// CheckLayout is Check for contracts in other folders. For contracts such as contracts/signup:
//
//	imports.CheckLayout(t, "..", func(module string) string { return "contracts/" + module }, "signup", "mail")
func CheckLayout(tb testing.TB, root string, layout Layout, modules ...string) {
	tb.Helper()
	found, err := check(root, layout, modules)
	if err != nil {
		tb.Fatalf("imports: %v", err)
	}
	for _, f := range found {
		tb.Error(f)
	}
}

// check returns the wrong imports, sorted by file.
func check(root string, layout Layout, modules []string) (found []string, err error) {
	program, err := programOf(root)
	if err != nil {
		return nil, err
	}
	if len(modules) == 0 {
		return nil, fmt.Errorf("no module is named: name the folders of all modules")
	}
	r := rules{program: program, modules: modules, contract: layout}
	for _, m := range modules {
		files, err := filesOf(root, m)
		if err == nil && !under(layout(m), m) {
			var contract []string
			contract, err = filesOf(root, layout(m))
			files = append(files, contract...)
		}
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			wrong, err := r.file(root, m, file)
			if err != nil {
				return nil, err
			}
			found = append(found, wrong...)
		}
	}
	return found, nil
}

// programOf returns the import path of root, from the go.mod in root or in the nearest folder above.
func programOf(root string) (string, error) {
	at, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	for below := ""; ; at, below = filepath.Dir(at), "/"+filepath.Base(at)+below {
		name, err := moduleOf(filepath.Join(at, "go.mod"))
		switch {
		case err == nil:
			return name + below, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		case at == filepath.Dir(at):
			return "", fmt.Errorf("no go.mod in %s or above: root must be a folder of a Go module", root)
		}
	}
}

// moduleOf returns the path of the Go module of a go.mod.
func moduleOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "module "); ok {
			return strings.Trim(strings.TrimSpace(name), `"`), nil
		}
	}
	return "", fmt.Errorf("%s names no module", file)
}

// filesOf returns the Go files of a folder without tests, relative to root. A folder without Go files is an error.
func filesOf(root, name string) (files []string, err error) {
	folder := filepath.Join(root, filepath.FromSlash(name))
	err = filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "vendor"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go"):
			return nil
		}
		rel, err := filepath.Rel(root, p)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("folder %s has no Go file", name)
	}
	return files, err
}

// rules are the borders of the modules of a program.
type rules struct {
	program string
	modules []string
	// contract returns the folder of the contract of a module.
	contract Layout
}

// under reports whether a path is folder, or lies below it.
func under(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// file returns the wrong imports of a file of module.
func (r rules) file(root, module, file string) (wrong []string, err error) {
	name := filepath.Join(root, filepath.FromSlash(file))
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	plain := under(path.Dir(file), r.contract(module))
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(imported, "/")
		switch {
		case plain && (strings.Contains(first, ".") || first == "C" || under(imported, r.program)):
			wrong = append(wrong, fmt.Sprintf("%s imports %s: a contract imports the standard library only;"+
				" move the code that needs the import into %s", file, imported, module))
		case !plain && r.crosses(module, imported):
			wrong = append(wrong, fmt.Sprintf("%s imports %s: module %s may know only the contract of another module;"+
				" react to its events instead", file, imported, module))
		}
	}
	return wrong, nil
}

// crosses reports whether an import leads from module into another module past the contract.
func (r rules) crosses(module, imported string) bool {
	inside, ok := strings.CutPrefix(imported, r.program+"/")
	return ok && slices.ContainsFunc(r.modules, func(other string) bool {
		return other != module && under(inside, other) && !under(inside, r.contract(other)) && !under(inside, module)
	})
}
