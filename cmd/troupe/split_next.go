package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/transports"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// What is typed next after a move, where nothing else is known.
const (
	anyBroker = "127.0.0.1:9092" // that of 'troupe broker'
	otherHTTP = "127.0.0.1:0"    // a free port, beside whatever runs here
)

// surroundings are what a process that is started here finds without flags.
type surroundings struct {
	settings    *config.Loaded
	deployables []config.Deployable // that the file describes; none where that is one, or there is no file
	sound       bool
}

func lookAround(environ []string) surroundings {
	p := configProgram()
	l, err := p.Load(config.Input{Environ: environ, Shared: true})
	s := surroundings{settings: l, sound: err == nil}
	if l.File != "" {
		s.deployables = p.Described(l.File)
	}
	return s
}

// nextSteps says how to run what a move has left: one line for each journal.
func nextSteps(ctx context.Context, environ []string, p *move.Proof) ([]string, error) {
	s := lookAround(environ)
	here, err := move.Modules(ctx, p.Journal)
	if err != nil {
		return nil, err
	}
	owner := ownerAt(ctx, p.Journal)
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

// run is the command that runs modules on the journal at path, or what is missing for one. With flags it runs beside another.
func (s surroundings) run(path string, modules []string, flags ...string) string {
	if len(s.deployables) > 0 {
		return s.deploy(path, modules)
	}
	args := []string{"run"}
	if is := s.settings.Modules; !s.sound || !sameModules(is, modules) {
		args = append(args, "--modules", strings.Join(modules, ","))
		if sameModules(nil, modules) {
			args[2] = "all"
		}
	}
	if !sameModules(nil, modules) {
		if !s.sound || s.settings.Carrier.Kind == transports.SQLite {
			args = append(args, "--transport", transports.Kafka, "--brokers", anyBroker)
		}
		args = append(args, flags...)
	}
	return typed(append(args, "--journal", here(path))...)
}

// deploy chooses the deployable that runs modules. A journal that it does not name itself can be told.
func (s surroundings) deploy(path string, modules []string) string {
	args := []string{"run", "--deployable", "NAME", "--journal", here(path)}
	for _, d := range s.deployables {
		if !sameModules(d.Modules, modules) {
			continue
		}
		args[2] = d.Name
		if at, err := filepath.Abs(d.Journal); err == nil && at == path {
			args = args[:3]
		}
		return typed(args...)
	}
	return "have a deployable of " + printable(s.settings.File) + " run " + strings.Join(modules, ", ") + " on " + printable(here(path)) + ", then " + typed(args...)
}

// sameModules compares modules in any order; nil are all.
func sameModules(a, b []string) bool {
	if a == nil {
		a = moduleNames()
	}
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
