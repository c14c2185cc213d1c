package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
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
	b.wiring("module", name)
	m := &Module{bus: b, name: name, emits: map[string]bool{}, outside: map[string]bool{}, wiredAt: wiringSite()}
	if name == ownName {
		b.mistake("module %q: the name is reserved for the bus", name)
	}
	if !validName.MatchString(name) {
		b.mistake("module %q: a name has lower case letters and digits, with single dashes or underscores between", name)
	}
	if b.modules[name] != nil {
		b.mistake("module %q is wired twice", name)
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

// unitLimit limits the time that a unit of work may hold the transaction.
const unitLimit = 10 * time.Second

// Do runs fn as a unit of work: the writes of fn through Tx and the returned events are one commit, on disk when Do
// returns without an error. Do returns the id of the flow of the events: a new flow, unless ctx comes from Correlate.
// An error or a panic of fn rolls everything back; Do returns an error of fn unchanged.
//
// fn must not wait for the outside world, because all other writes wait for fn. fn may run twice, when the journal has
// to repeat a group of commits: set variables outside of fn anew in each run.
//
// When ctx ends before fn starts, fn does not run. After the start, Do waits for the outcome. After an error no write
// is on disk, except with ErrUnknown.
func (m *Module) Do(ctx context.Context, fn func(ctx context.Context) (Events, error)) (flow string, err error) {
	if ctx.Value(scopeKey{}) != nil {
		return "", fmt.Errorf("%w: %s", ErrNested, returnInstead)
	}
	if m.bus.calls.Within() {
		return "", nested(returnInstead)
	}
	if err := errors.Join(m.mustRunHere(), m.bus.ready()); err != nil {
		return "", err
	}
	o, err := m.origin(ctx)
	if err != nil {
		return "", err
	}
	work := journal.Work{Module: m.name, Name: m.name + " (unit of work)", Limit: unitLimit}
	var started string // not the result itself: abandoned work may still write the variable
	err = m.bus.journal.Do(ctx, work, func(tx journal.TxFunc) ([]*journal.Event, error) {
		inner := context.WithValue(context.WithoutCancel(ctx), scopeKey{}, &scope{tx: tx})
		out, err := m.bus.transaction(func() (Events, error) { return fn(inner) })
		if err != nil {
			return nil, err
		}
		events, err := m.bus.sealAndFollow(inner, out, o)
		if err == nil && len(events) > 0 {
			started = events[0].CorrelationID
		}
		return events, err
	})
	if errors.Is(err, journal.ErrNested) {
		err = fmt.Errorf("%w: %s: %w", ErrNested, returnInstead, err)
	}
	if err != nil {
		return "", err
	}
	return started, nil
}

// origin returns the origin of the events of a unit of work in ctx.
func (m *Module) origin(ctx context.Context) (origin, error) {
	o := origin{module: m, declared: m.emits}
	o.correlation, _ = ctx.Value(correlationKey{}).(string)
	with, _ := ctx.Value(metadataKey{}).(metadata)
	o.metadata = with.values
	switch {
	case errors.Is(with.err, wire.ErrMetadataTooLarge):
		return o, fmt.Errorf("%w: %w", ErrTooLarge, with.err)
	case with.err != nil:
		return o, fmt.Errorf("%w: %w", ErrBadID, with.err)
	}
	return o, nil
}

// Publish emits events that need no unit of work: in the given order, all or none, on disk when Publish returns
// without an error. Publish returns the id of the flow. The errors are those of Do.
func (m *Module) Publish(ctx context.Context, events ...Event) (flow string, err error) {
	return m.Do(ctx, func(context.Context) (Events, error) { return Emit(events...), nil })
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
	_, err := b.transaction(func() (_ Events, err error) { // methods of events are user code, too
		sealed, followUps, err = b.seal(out, o)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	for _, fn := range followUps {
		if _, err := b.transaction(func() (Events, error) { return nil, fn(ctx) }); err != nil {
			return nil, err
		}
	}
	return sealed, nil
}

// protect runs fn, and returns a panic as an error with the stack. The methods of the returned error do not panic; see
// readable.
func protect(fn func() (Events, error)) (out Events, err error) {
	defer func() {
		if v := recover(); v != nil {
			out, err = nil, &panicError{value: v, stack: string(debug.Stack())}
		}
	}()
	if out, err = fn(); err != nil {
		err = readable(err)
	}
	return out, err
}

func stackOf(err error) string {
	var p *panicError
	if errors.As(err, &p) {
		return p.stack
	}
	return ""
}
