package bus

import (
	"context"
	"io/fs"
	"regexp"

	"github.com/troupebus/troupe/bus/journal"
)

// Module is a business capability. A module owns tables, handles events, and emits events of its own. Wire all modules
// before Run.
type Module struct {
	bus        *Bus
	name       string
	emits      map[string]bool // by Do and Publish
	outside    map[string]bool
	migrations fs.FS
	wiredAt    string // file and line of the call of Bus.Module
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9]*([-_][a-z0-9]+)*$`)

// Module adds a module. The name is durable. The name begins with a letter, and has lower case letters and digits, with
// dashes or underscores between. Names of subscriptions and tables begin with the name of the module.
func (b *Bus) Module(name string) *Module {
	b.mustBeOpen("module", name)
	m := &Module{bus: b, name: name, emits: map[string]bool{}, outside: map[string]bool{}, wiredAt: wiringSite()}
	if name == ownName {
		b.mistake("module %q: the name is reserved for the bus", name)
	}
	if !validName.MatchString(name) {
		b.mistake("module %q: a name has lower case letters and digits, with single dashes or underscores between", name)
	}
	if b.modules[name] != nil {
		b.mistake("module %q is wired twice: pass on the result of the first call", name)
	}
	b.modules[name] = m
	return m
}

// Migrations sets the SQL files that create the module's tables. The files are numbered, and all at the top of fsys or
// all one folder below. Before the first handler runs, the bus applies each new file, in the order of the names and in
// a transaction of its own. The name of each table and view begins with the module's name and an underscore. A
// migration that creates, changes or drops anything else is refused.
func (m *Module) Migrations(fsys fs.FS) *Module {
	m.migrations = fsys
	return m
}

// Emits declares the types of the events that Do and Publish of the module may emit. Pass a value of each type; zero
// values suffice.
func (m *Module) Emits(events ...Event) *Module {
	for _, e := range events {
		if t := m.bus.declare(e, m.name); t != "" {
			m.emits[t] = true
		}
	}
	return m
}

// ForOutside marks events of the module for consumers outside of the program. Without the mark, an event without a
// consumer is a mistake in the wiring.
func (m *Module) ForOutside(events ...Event) *Module {
	for _, e := range events {
		if t := m.bus.register(e); t != "" {
			m.outside[t] = true
		}
	}
	return m
}

// View runs fn in a read-only transaction on a snapshot of the module's tables, and does not wait for writers.
func (m *Module) View(ctx context.Context, fn func(tx SQL) error) error {
	if err := m.mustRunHere(); err != nil {
		return err
	}
	return m.bus.View(ctx, fn)
}

// sealAndFollow seals out and runs the functions of Events.Also.
func (b *Bus) sealAndFollow(ctx context.Context, out Events, o origin) ([]*journal.Event, error) {
	var sealed []*journal.Event
	var followUps []func(context.Context) error
	err := b.engine.Transaction(func() (err error) { // methods of events are user code, too
		sealed, followUps, err = b.seal(out, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, fn := range followUps {
		if err := b.engine.Transaction(func() error { return fn(ctx) }); err != nil {
			return nil, err
		}
	}
	return sealed, nil
}
