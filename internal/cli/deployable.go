package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/moves"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/transports"
	"github.com/troupebus/troupe/transports/sqlite"
)

// deployment describes a deployable to open.
type deployment struct {
	name      string
	modules   []string // nil for all
	peers     map[string]string
	journal   string
	adopt     bool              // take over the journal of another program
	instead   string            // advice in the error of isWhole; "" skips isWhole
	transport transports.Config // to the other deployables, without a group
	bus       bus.Config
	logger    *slog.Logger
	hosts     []string // accepted host names of requests, beside localhost and IP addresses
}

// running is an open deployable.
type running struct {
	*console.Deployable
	options   *console.Options
	bus       *bus.Bus
	doors     any
	transport bus.Transport // nil for no transport
	closeOwn  func() error  // closes the resources of Open; nil for no resources
}

// open opens the journal, the transport and the program's own resources, and wires the modules.
func open(ctx context.Context, o *console.Options, d deployment) (*running, error) {
	p := o.Program
	j, err := sqlite.Open(ctx, d.journal, sqlite.Config{Logger: d.logger, Program: p.Declares(), Adopt: d.adopt})
	if other, is := errors.AsType[*sqlite.OtherProgramError](err); is && other.Adoptable && !d.adopt {
		return nil, fmt.Errorf("%w; '%s' makes it one of %s for good", err, o.Invocation(d.journal, "run", "--adopt"), p.Name)
	}
	if err != nil {
		return nil, err
	}
	if d.instead != "" {
		if err := isWhole(ctx, o, j.Reader(), d.instead); err != nil {
			return nil, errors.Join(err, j.Close())
		}
	}
	r := &running{options: o}
	f := front.New(front.Config{
		Journal: j, Logger: d.logger, Hosts: d.hosts, Peers: d.peers,
		Ready: func() error { return r.bus.Ready() }, Links: func() []bus.Link { return r.bus.Links() },
	})
	r.Deployable = &console.Deployable{
		Name: d.name, Modules: d.modules, Peers: d.peers, Journal: j, Logger: d.logger, Front: f,
	}
	if d.modules == nil {
		r.Modules = p.Modules()
	}
	if r.transport, err = transports.Open(d.transportOn(j)); err != nil {
		return nil, errors.Join(fmt.Errorf("the transport to the other deployables: %w", err), r.close())
	}
	if p.Open != nil {
		if r.closeOwn, err = p.OpenOwn(ctx, r.Deployable); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	c := d.bus
	c.Logger, c.Modules, c.Transport = d.logger, d.modules, r.transport
	r.bus = bus.New(j, c)
	if r.doors, err = p.Assemble(r.bus); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// isWhole returns an error for the journal of a deployable with a transport if a module of the program has never run on
// the journal: the module runs in another deployable, and would react to every event a second time here.
func isWhole(ctx context.Context, o *console.Options, r *sqlite.Reader, instead string) error {
	modules, backend, err := r.Ran(ctx)
	if err != nil || backend == "" {
		return err
	}
	var react []string
	for _, s := range o.Program.Wiring().Subscriptions {
		react = append(react, journal.ModuleOf(s.Name))
	}
	slices.Sort(react)
	if elsewhere := audit.Without(slices.Compact(react), modules); len(elsewhere) > 0 {
		return fmt.Errorf("open %s: this is the journal of a deployable with the backend %s, and never ran %s,"+
			" which would react to all events a second time; %s", r.Path(), backend, strings.Join(elsewhere, ", "), instead)
	}
	return nil
}

// transportOn returns the transport of d on j. The consumer group has the id of the journal in the name, so that a new
// journal reads the topics from the beginning.
func (d *deployment) transportOn(j *sqlite.Journal) transports.Config {
	t := d.transport
	t.Group, t.Logger = fmt.Sprintf("%s-%.8s", d.name, j.ID()), d.logger
	return t
}

// run runs the modules while work runs, and stops them afterwards. It returns the errors of both.
func (r *running) run(ctx context.Context, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.bus.Run(ctx) }()
	select {
	case <-r.bus.Running():
	case err := <-ended:
		return moves.Refused(r.options, r.Journal.Path(), err)
	}
	worked := make(chan error, 1)
	go func() { worked <- work(ctx) }()
	select {
	case err := <-worked:
		cancel()
		return errors.Join(err, <-ended)
	case err := <-ended: // ctx or the bus has ended, so work must end, too
		cancel()
		return errors.Join(<-worked, err)
	}
}

// close closes the transport, then the journal, which the transport reads and writes, and then the program's own
// resources.
func (r *running) close() error {
	var errs []error
	if r.transport != nil {
		errs = append(errs, r.transport.Close())
	}
	errs = append(errs, r.Journal.Close())
	if r.closeOwn != nil {
		errs = append(errs, r.closeOwn())
	}
	return errors.Join(errs...)
}
