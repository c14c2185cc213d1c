// Package promise reads from the comment of a package how stable the package is.
package promise

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// Stability says what a minor version may do to a package.
type Stability string

// The kinds of packages.
const (
	Promise Stability = "promise" // no minor version breaks a program
	Seam    Stability = "seam"    // a minor version may change the package
)

var said = regexp.MustCompile(`Package \w+ is a (promise|seam): `)

// Of returns the stability of the package in the folder dir, or "" if its comment says none.
func Of(dir string) (Stability, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return "", err
		}
		if found := said.FindStringSubmatch(strings.Join(strings.Fields(file.Doc.Text()), " ")); found != nil {
			return Stability(found[1]), nil
		}
	}
	return "", nil
}
