package scaffold

import (
	"errors"
	"fmt"
	"go/doc"
	"go/scanner"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/troupebus/troupe/internal/config"
)

// legalModule matches names for Go code, in the names of tables and in paths.
var legalModule = regexp.MustCompile(`^[a-z][a-z0-9]{0,30}$`)

// legalPath matches paths for go.mod.
var legalPath = regexp.MustCompile(`^[a-zA-Z0-9_~][a-zA-Z0-9._~-]*(/[a-zA-Z0-9_~][a-zA-Z0-9._~-]*)*$`)

// reserved are names that no module may have, with the reasons.
var reserved = map[string]string{
	"all":      "the settings use the word for all modules",
	"bin":      "the folder is for the binary",
	"bus":      "the bus has the name for itself",
	"sqlite":   "SQLite keeps tables of that name for itself",
	"internal": "the go command treats such a folder differently",
	"vendor":   "the go command treats such a folder differently",
	"testdata": "the go command ignores such a folder",
	"main":     "such a package cannot be imported",
	"healthz":  "every program has a route of that name",
	"readyz":   "every program has a route of that name",
	"metrics":  "every program has a route of that name",
	"ui":       "every program has a route of that name",
	"outside":  "diagrams use the word for other programs",
}

// Validate returns all mistakes in the names of o, in one error.
func (o Options) Validate() error {
	o = o.withDefaults()
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if _, err := config.NewProgram(o.Name, nil, nil); err != nil {
		bad("program %q: want a name of up to 32 lower-case letters, digits and dashes that begins with a letter", o.Name)
	}
	if o.Name == "troupe" {
		bad("program %q: the plain binary has the name, and a journal belongs to the program of one name: "+
			"choose another name", o.Name)
	}
	switch first, _, _ := strings.Cut(o.ModulePath, "/"); {
	case !legalPath.MatchString(o.ModulePath):
		bad("path %q: want a path as go.mod has it, such as git.host.test/team/clinic", o.ModulePath)
	case slices.Contains(standard, first):
		bad("path %q: the standard library of Go has a package of that name: choose another path with --module-path",
			o.ModulePath)
	case o.ModulePath == troupe || strings.HasPrefix(o.ModulePath, troupe+"/"):
		bad("path %q: that is troupe itself: choose another path with --module-path", o.ModulePath)
	}
	for i, m := range o.Modules {
		if why := o.refuses(m); why != "" {
			bad("module %q: %s: choose another name", m, why)
		}
		if slices.Contains(o.Modules[:i], m) {
			bad("module %q is named twice: name each module once", m)
		}
	}
	return errors.Join(wrong...)
}

// refuses says why m cannot be the name of a module, "" if it can.
func (o Options) refuses(m string) string {
	switch contracts, isEvents := strings.CutSuffix(m, "events"); {
	case !legalModule.MatchString(m):
		return "want up to 31 lower-case letters and digits that begin with a letter"
	case token.IsKeyword(m) || doc.IsPredeclared(m):
		return "Go uses the word itself"
	case reserved[m] != "":
		return reserved[m]
	case m == o.Name:
		return "the program has the name already"
	case isEvents && slices.Contains(o.Modules, contracts):
		return "the contract of module " + contracts + " is called so"
	case slices.Contains(used(), m):
		return "the code of the program uses the word for something else"
	}
	return ""
}

// used returns the identifiers in the code of the template, names of imported packages among them, without the modules
// of the template.
var used = sync.OnceValue(func() []string {
	var found []string
	err := fs.WalkDir(template, "template", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".go" {
			return err
		}
		text, err := template.ReadFile(name)
		found = append(found, identifiers(text)...)
		return err
	})
	if err != nil {
		panic(err) // the template is in the binary
	}
	return slices.DeleteFunc(found, func(id string) bool { return slices.Contains(Defaults, id) })
})

func identifiers(text []byte) (found []string) {
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile("", -1, len(text)), text, nil, 0)
	for {
		_, tok, lit := s.Scan()
		switch tok {
		case token.EOF:
			return found
		case token.IDENT:
			found = append(found, lit)
		}
	}
}

// standard are the first elements of the paths of Go's standard library.
var standard = strings.Fields(`
	archive bufio builtin bytes cmd cmp compress container context crypto database debug embed encoding errors
	expvar flag fmt go hash html image index internal io iter log maps math mime net os path plugin reflect regexp
	runtime slices sort strconv strings structs sync syscall testing text time unicode unique unsafe vendor weak`)
