package moves

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupebus/troupe/internal/cli/console"
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
	*console.Options
	settings    *config.Loaded
	deployables []config.Deployable // in the settings file; empty if the file describes one, or is missing
	sound       bool                // the settings have no mistakes
}

func lookAround(o *console.Options) surroundings {
	l, err := o.Program.Config().Load(config.Input{Environ: o.Environ, Shared: true})
	s := surroundings{Options: o, settings: l, sound: err == nil}
	if l.File != "" {
		s.deployables = o.Program.Config().Described(l.File)
	}
	return s
}

// nextSteps returns a line for each journal after a move: how to run the modules on the journal.
func nextSteps(ctx context.Context, o *console.Options, p *move.Proof) ([]string, error) {
	s := lookAround(o)
	here, err := move.Modules(ctx, p.Journal)
	if err != nil {
		return nil, err
	}
	owner := o.OwnerAt(ctx, p.Journal)
	if p.Act == "merge" && owner.Foreign {
		return []string{runHere(owner, p.Journal, here)}, nil
	}
	if p.Act == "merge" {
		return []string{s.run(p.Journal, here)}, nil
	}
	there, err := move.Modules(ctx, p.Other)
	if err != nil {
		return nil, err
	}
	if owner.Foreign {
		return []string{runHere(owner, p.Other, there), runHere(owner, p.Journal, here)}, nil
	}
	return []string{s.run(p.Other, there, "--http", otherHTTP), s.run(p.Journal, here)}, nil
}

// runHere returns the advice to run the owner of a foreign journal. The command line of the owner is unknown.
func runHere(o console.Owner, path string, modules []string) string {
	return console.Printable("run " + o.Runs() + " with " + strings.Join(modules, ", ") + " on " + console.Here(path))
}

// run returns the command line that runs modules on the journal at path, or advice on the settings. flags are added if
// other modules run elsewhere.
func (s surroundings) run(path string, modules []string, flags ...string) string {
	if len(s.deployables) > 0 {
		return s.deploy(path, modules)
	}
	args := []string{"run"}
	if !s.sound || !sameModules(s.Options, s.settings.Modules, modules) {
		args = append(args, "--modules", strings.Join(modules, ","))
		if sameModules(s.Options, nil, modules) {
			args[2] = "all"
		}
	}
	if !sameModules(s.Options, nil, modules) {
		if !s.sound || s.settings.Backend.Kind == transports.SQLite {
			args = append(args, "--transport", transports.Kafka, "--brokers", anyBroker)
		}
		args = append(args, flags...)
	}
	return s.Typed(append(args, "--journal", console.Here(path))...)
}

// deploy returns the command line of the deployable that runs modules, with --journal if its settings name another
// journal. Without such a deployable, deploy returns advice on the settings.
func (s surroundings) deploy(path string, modules []string) string {
	args := []string{"run", "--deployable", "NAME", "--journal", console.Here(path)}
	for _, d := range s.deployables {
		if !sameModules(s.Options, d.Modules, modules) {
			continue
		}
		args[2] = d.Name
		if at, err := filepath.Abs(d.Journal); err == nil && at == path {
			args = args[:3]
		}
		return s.Typed(args...)
	}
	return "add a deployable to " + console.Printable(s.settings.File) + " that runs " + strings.Join(modules, ", ") + " on " + console.Printable(console.Here(path)) + ", then " + s.Typed(args...)
}

// sameModules reports whether a and b have the same modules, in any order; nil stands for all modules.
func sameModules(o *console.Options, a, b []string) bool {
	if a == nil {
		a = o.Program.Modules()
	}
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// moved returns the function that moves files beside the journal before a move takes effect, or nil for a program
// without such files. The files of another program do not move, and moved prints a warning.
func moved(ctx context.Context, o *console.Options, m console.Move) func() error {
	if owner := o.OwnerAt(ctx, m.From); owner.Foreign {
		name := console.Printable(owner.Runs())
		_, _ = fmt.Fprintf(o.Stderr, "warning: %s belongs to %s: files of %s beside the journal do not move; if there are such files, use %s of %s\n",
			console.Printable(console.Here(m.From)), name, name, m.Act, name) // a lost warning is no failure
		return nil
	}
	if o.Program.Moved == nil {
		return nil
	}
	return func() error { return o.Program.MoveFiles(m) }
}
