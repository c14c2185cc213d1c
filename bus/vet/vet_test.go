package vet

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
)

// TestAnalyzers loads the packages once for all analyzers.
func TestAnalyzers(t *testing.T) {
	var names []string
	for _, a := range Analyzers {
		names = append(names, a.Name)
	}
	all := &analysis.Analyzer{Name: "all", Doc: "run all analyzers", Requires: []*analysis.Analyzer{work},
		Run: func(pass *analysis.Pass) (any, error) {
			for _, a := range Analyzers {
				own := *pass
				own.Analyzer = a
				if _, err := a.Run(&own); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}}
	analysistest.Run(t, analysistest.TestData(), all, names...)
}

func TestValid(t *testing.T) {
	if err := analysis.Validate(Analyzers); err != nil {
		t.Error(err)
	}
}

// TestNamesOfTheBus expects that package bus has all functions that the analyzers know by name.
func TestNamesOfTheBus(t *testing.T) {
	declared := map[string]bool{}
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no files of package bus: %v", err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && !strings.HasSuffix(path, "_test.go") {
				declared[nameOfDecl(fn)] = true
			}
		}
	}
	known := []string{"Tx", "Module.Publish", "Handler.External"}
	for name := range entrances {
		known = append(known, name)
	}
	for name := range pure {
		known = append(known, name)
	}
	for _, name := range known {
		if !declared[name] {
			t.Errorf("package bus has no %s: follow the change here", name)
		}
	}
}

// nameOfDecl returns the name of a function, with its receiver, as busName does.
func nameOfDecl(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	for {
		switch t := of.(type) {
		case *ast.StarExpr:
			of = t.X
		case *ast.IndexExpr:
			of = t.X
		case *ast.Ident:
			return t.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}
