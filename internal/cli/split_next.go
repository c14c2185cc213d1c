package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/transports"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// What is typed next after a move, where nothing else is known.
const (
	anyBroker = "127.0.0.1:9092" // that of the command broker
	otherHTTP = "127.0.0.1:0"    // a free port, beside whatever runs here
)

// surroundings are what a process that is started here finds without flags.
type surroundings struct {
	*options
	settings    *config.Loaded
	deployables []config.Deployable // that the file describes; none where that is one, or there is no file
	sound       bool
}

func (o *options) lookAround() surroundings {
	l, err := o.program.config().Load(config.Input{Environ: o.environ, Shared: true})
	s := surroundings{options: o, settings: l, sound: err == nil}
	if l.File != "" {
		s.deployables = o.program.config().Described(l.File)
	}
	return s
}

// nextSteps says how to run what a move has left: one line for each journal.
func (o *options) nextSteps(ctx context.Context, p *move.Proof) ([]string, error) {
	s := o.lookAround()
	here, err := move.Modules(ctx, p.Journal)
	if err != nil {
		return nil, err
	}
	owner := o.ownerAt(ctx, p.Journal)
	if p.Act == "merge" && owner.foreign {
		return []string{owner.runHere(p.Journal, here)}, nil
	}
	if p.Act == "merge" {
		return []string{s.run(p.Journal, here)}, nil
	}
	there, err := move.Modules(ctx, p.Other)
	if err != nil {
		return nil, err
	}
	if owner.foreign {
		return []string{owner.runHere(p.Other, there), owner.runHere(p.Journal, here)}, nil
	}
	return []string{s.run(p.Other, there, "--http", otherHTTP), s.run(p.Journal, here)}, nil
}

// runHere says, of a program whose command line is not known here, what it is to run.
func (o owner) runHere(path string, modules []string) string {
	return printable("run " + o.runs() + " with " + strings.Join(modules, ", ") + " on " + here(path))
}

// run is the command that runs modules on the journal at path, or what is missing for one. With flags it runs beside
// another.
func (s surroundings) run(path string, modules []string, flags ...string) string {
	if len(s.deployables) > 0 {
		return s.deploy(path, modules)
	}
	args := []string{"run"}
	if is := s.settings.Modules; !s.sound || !s.sameModules(is, modules) {
		args = append(args, "--modules", strings.Join(modules, ","))
		if s.sameModules(nil, modules) {
			args[2] = "all"
		}
	}
	if !s.sameModules(nil, modules) {
		if !s.sound || s.settings.Backend.Kind == transports.SQLite {
			args = append(args, "--transport", transports.Kafka, "--brokers", anyBroker)
		}
		args = append(args, flags...)
	}
	return s.typed(append(args, "--journal", here(path))...)
}

// deploy chooses the deployable that runs modules. A journal that it does not name itself can be told.
func (s surroundings) deploy(path string, modules []string) string {
	args := []string{"run", "--deployable", "NAME", "--journal", here(path)}
	for _, d := range s.deployables {
		if !s.sameModules(d.Modules, modules) {
			continue
		}
		args[2] = d.Name
		if at, err := filepath.Abs(d.Journal); err == nil && at == path {
			args = args[:3]
		}
		return s.typed(args...)
	}
	return "have a deployable of " + printable(s.settings.File) + " run " + strings.Join(modules, ", ") + " on " + printable(here(path)) + ", then " + s.typed(args...)
}

// sameModules compares modules in any order; nil are all.
func (o *options) sameModules(a, b []string) bool {
	if a == nil {
		a = o.program.modules()
	}
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// moved returns the function that moves files beside the journal, before a move takes effect; nil where this program
// has no such files. The files of another program do not move, and a warning says so.
func (o *options) moved(ctx context.Context, m Move) func() error {
	if owner := o.ownerAt(ctx, m.From); owner.foreign {
		_, _ = fmt.Fprintf(o.stderr, "warning: %s belongs to %s: files of %s beside the journal do not move; where there are any, use its own %s\n",
			printable(here(m.From)), printable(owner.runs()), printable(owner.runs()), m.Act) // nothing else can be told
		return nil
	}
	if o.program.Moved == nil {
		return nil
	}
	return func() error { return o.program.moveFiles(m) }
}
