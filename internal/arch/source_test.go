package arch

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

const (
	maxFileLines = 400
	maxFuncLines = 60
	maxMainLines = 60
	mainFile     = "cmd/troupe/main.go"
)

// unfinished matches the marks of postponed work.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)

// checkSource checks the size, the comments and the habits of a file.
func checkSource(s source) []violation {
	found := checkComments(s)
	if s.lines > maxFileLines {
		found = append(found, violation{fmt.Sprintf("%s has %d lines", s.path, s.lines),
			fmt.Sprintf("a file has at most %d lines", maxFileLines), "split the file by its subjects"})
	}
	if s.path == mainFile && s.lines > maxMainLines {
		found = append(found, violation{fmt.Sprintf("%s has %d lines", s.path, s.lines),
			fmt.Sprintf("the main file of the example has at most %d lines", maxMainLines), "the file shows how little a program needs: move the rest to other files"})
	}
	if s.isTest() {
		return append(found, checkSleeps(s)...)
	}
	for _, decl := range s.file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			found = append(found, checkLength(s, fn)...)
		}
		if s.file.Name.Name != "main" {
			found = append(found, checkDocumented(s, decl)...)
		}
	}
	return found
}

func checkComments(s source) []violation {
	var found []violation
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if mark := unfinished.FindString(c.Text); mark != "" {
				found = append(found, violation{s.at(c.Pos()) + " says " + mark, "no comment postpones work", "do the work, or describe the present state"})
			}
		}
	}
	return found
}

func checkLength(s source, fn *ast.FuncDecl) []violation {
	lines := s.line(fn.End()) - s.line(fn.Pos()) + 1
	if lines <= maxFuncLines {
		return nil
	}
	return []violation{{fmt.Sprintf("%s: func %s has %d lines", s.at(fn.Pos()), fn.Name.Name, lines),
		fmt.Sprintf("a function has at most %d lines", maxFuncLines), "move its steps into functions with names"}}
}

func checkSleeps(s source) []violation {
	name := "time"
	for _, spec := range s.file.Imports {
		if spec.Path.Value == `"time"` && spec.Name != nil {
			name = spec.Name.Name
		}
	}
	var found []violation
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == name {
				found = append(found, violation{s.at(sel.Pos()) + " sleeps", "no test sleeps", "wait on a channel or on testing/synctest"})
			}
		}
		return true
	})
	return found
}

// checkDocumented finds exported names without a comment: functions, methods (also methods of a hidden type, which
// callers reach by an interface), types, the methods of an exported interface, constants and variables. The comment of
// a group counts for its names. Fields need no comment: the comment of a struct often describes them.
func checkDocumented(s source, decl ast.Decl) []violation {
	var found []violation
	ask := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if strings.TrimSpace(doc.Text()) != "" {
				return
			}
		}
		if name.IsExported() {
			found = append(found, violation{s.at(name.Pos()) + ": " + name.Name + " has no comment", "every exported name is documented",
				"describe the contract: units, errors, and when to call it"})
		}
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		ask(d.Name, d.Doc)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				ask(spec.Name, d.Doc, spec.Doc)
				if face, ok := spec.Type.(*ast.InterfaceType); ok && spec.Name.IsExported() {
					for _, method := range face.Methods.List {
						for _, name := range method.Names {
							ask(name, method.Doc, method.Comment)
						}
					}
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					ask(name, d.Doc, spec.Doc, spec.Comment)
				}
			}
		}
	}
	return found
}

func TestCheckSource(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("\tf()\n", n) }
	tests := []struct{ name, path, text, wants string }{
		{"good", "a.go", "package a\n\n// F does.\nfunc F() {}\n\nfunc g() {}\n", ""},
		{"400 lines", "a.go", "package a\n" + strings.Repeat("\n", 399), ""},
		{"401 lines", "a.go", "package a\n" + strings.Repeat("\n", 400), "a file has at most 400"},
		{"401 lines of test", "a_test.go", "package a\n" + strings.Repeat("\n", 400), "a file has at most 400"},
		{"60 lines of main.go", "cmd/troupe/main.go", "package main\n" + strings.Repeat("\n", 59), ""},
		{"61 lines of main.go", "cmd/troupe/main.go", "package main\n" + strings.Repeat("\n", 60), "the main file of the example has at most 60"},
		{"60 lines of function", "a.go", "package a\nfunc f() {\n" + long(58) + "}\n", ""},
		{"61 lines of function", "a.go", "package a\nfunc f() {\n" + long(59) + "}\n", "a function has at most 60"},
		{"61 lines of test", "a_test.go", "package a\nfunc f() {\n" + long(59) + "}\n", ""},
		{"bare function", "a.go", "package a\nfunc F() {}\n", "every exported name"},
		{"bare function in main", "a.go", "package main\nfunc F() {}\n", ""},
		{"bare method", "a.go", "package a\n// T is.\ntype T[K any] struct{}\nfunc (t *T[K]) M() {}\n", "every exported name"},
		{"method of a hidden type", "a.go", "package a\ntype t struct{}\nfunc (t) String() string { return \"\" }\n", "every exported name"},
		{"documented method of a hidden type", "a.go", "package a\ntype t struct{}\n// String says.\nfunc (t) String() string { return \"\" }\n", ""},
		{"bare method of an interface", "a.go", "package a\n// T is.\ntype T interface{ M() }\n", "every exported name"},
		{"documented method of an interface", "a.go", "package a\n// T is.\ntype T interface {\n\t// M does.\n\tM()\n}\n", ""},
		{"bare constants behind a comment on one", "a.go", "package a\nconst (\n\t// A is.\n\tA = 1\n\tB = 2\n)\n", "every exported name"},
		{"bare type", "a.go", "package a\ntype T int\n", "every exported name"},
		{"bare constant", "a.go", "package a\nconst (\n\ta = 1\n\tB = 2\n)\n", "every exported name"},
		{"documented group", "a.go", "package a\n// The kinds.\nconst (\n\tA = 1\n\tB = 2\n)\n", ""},
		{"comment at the end of the line", "a.go", "package a\nvar (\n\tA = 1 // A is one.\n)\n", ""},
		{"a directive is no comment", "a.go", "package a\n//go:noinline\nfunc F() {}\n", "every exported name"},
		{"work put off", "a.go", "package a\n// f is fine. TODO: more.\nfunc f() {}\n", "no comment postpones work"},
		{"the mark in a string", "a.go", "package a\nvar s = \"TODO\"\n", ""},
		{"sleep", "a_test.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", "no test sleeps"},
		{"sleep by another name", "a_test.go", "package a\nimport clock \"time\"\nvar wait = clock.Sleep\n", "no test sleeps"},
		{"sleep outside of a test", "a.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expectRule(t, checkSource(MustParse(t, tt.path, []byte(tt.text))), tt.wants)
		})
	}
}
