package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/internal/scaffold"
)

const newLong = `new writes a program into the folder NAME: modules with contracts, tables and handlers, an external
call behind an interface with a fake, HTTP routes, rules for the books, tests, settings, a Makefile,
a Dockerfile, a systemd unit and a file for CI. The program's binary has all commands that {name} has
for every program: run, trace, events, dlq, verify, split, merge and the others.

The first MODULE accepts requests, and each other module reacts to the first. The default modules are
signup and welcome. The folder must be empty or new.`

const newExample = `  {name} new clinic
  {name} new clinic appointments billing reminders --module-path git.host.test/team/clinic
  cd clinic && make test demo`

// newCommand returns the command that writes a new program.
func newCommand() troupe.Command[doors] {
	var path, replace string
	options := func(args []string) scaffold.Options {
		return scaffold.Options{Name: args[0], Modules: args[1:], ModulePath: path, Replace: replace}
	}
	return troupe.Command[doors]{
		Name: "new", Args: "NAME [MODULE...]", Short: "Write a new program", Long: newLong, Example: newExample, Alone: true,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&path, "module-path", "", "`path` in go.mod (default NAME)")
			f.StringVar(&replace, "replace", "", "`folder` of a checkout for go.mod (default: the version of this binary)")
		},
		Check: func(args []string) error {
			if len(args) == 0 {
				return errors.New("name the program: troupe new NAME [MODULE...]")
			}
			return options(args).Validate()
		},
		Run: func(_ context.Context, c *troupe.Call[doors]) error {
			o := options(c.Args)
			files, err := scaffold.Write(".", o)
			if err != nil {
				return err
			}
			next := []string{"cd " + o.Name, "make test", "make demo"}
			if c.JSON {
				return c.Print(written{o.Name, files, next})
			}
			_, err = fmt.Fprintf(c.Out, "%s is in the folder %s: %d files\n\nnext: %s\n",
				o.Name, o.Name, len(files), strings.Join(next, "\n      "))
			return err
		},
	}
}

// written is the output of new with --json.
type written struct {
	Folder string   `json:"folder"`
	Files  []string `json:"files"` // paths in the folder
	Next   []string `json:"next"`  // command lines
}
