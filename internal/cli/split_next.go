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

// Addresses in the next command lines after a move, without settings.
const (
	anyBroker = "127.0.0.1:9092" // the default of the command broker
	otherHTTP = "127.0.0.1:0"    // a free port, beside the other process
)

// surroundings are the settings of a process that is started here without flags.
type surroundings struct {
	*options
	settings    *config.Loaded
	deployables []config.Deployable // in the settings file; empty if the file describes one, or is missing
	sound       bool                // the settings have no mistakes
}

func (o *options) lookAround() surroundings {
	l, err := o.program.config().Load(config.Input{Environ: o.environ, Shared: true})
	s := surroundings{options: o, settings: l, sound: err == nil}
	if l.File != "" {
		s.deployables = o.program.config().Described(l.File)
	}
	return s
}

// nextSteps returns a line for each journal after a move: how to run the modules on the journal.
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

// runHere returns the advice to run the owner of a foreign journal, whose command line is unknown.
func (o owner) runHere(path string, modules []string) string {
	return printable("run " + o.runs() + " with " + strings.Join(modules, ", ") + " on " + here(path))
}

// run returns the command line that runs modules on the journal at path, or advice on the settings. flags are added if
// other modules run elsewhere.
func (s surroundings) run(path string, modules []string, flags ...string) string {
	if len(s.deployables) > 0 {
		return s.deploy(path, modules)
	}
	args := []string{"run"}
	if !s.sound || !s.sameModules(s.settings.Modules, modules) {
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

// deploy returns the command line of the deployable that runs modules, with --journal if its settings name another
// journal. Without such a deployable, deploy returns advice on the settings.
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
	return "add a deployable to " + printable(s.settings.File) + " that runs " + strings.Join(modules, ", ") + " on " + printable(here(path)) + ", then " + s.typed(args...)
}

// sameModules reports whether a and b have the same modules, in any order; nil stands for all modules.
func (o *options) sameModules(a, b []string) bool {
	if a == nil {
		a = o.program.modules()
	}
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// moved returns the function that moves files beside the journal before a move takes effect, or nil for a program
// without such files. The files of another program do not move, and moved prints a warning.
func (o *options) moved(ctx context.Context, m Move) func() error {
	if owner := o.ownerAt(ctx, m.From); owner.foreign {
		name := printable(owner.runs())
		_, _ = fmt.Fprintf(o.stderr, "warning: %s belongs to %s: files of %s beside the journal do not move; if there are such files, use %s of %s\n",
			printable(here(m.From)), name, name, m.Act, name) // a lost warning is no failure
		return nil
	}
	if o.program.Moved == nil {
		return nil
	}
	return func() error { return o.program.moveFiles(m) }
}
