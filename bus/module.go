package bus

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Module is one business capability: it owns tables, handles events, and emits its own. It is wired before Run.
type Module struct {
	bus        *Bus
	name       string
	emits      map[string]bool // from Do and Publish
	outside    map[string]bool
	migrations fs.FS
	wiredAt    string // file and line of the call of Bus.Module
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9]*([-_][a-z0-9]+)*$`)

// Module adds the module called name: lower case, durable, the first part of its subscriptions' names and the prefix of
// its tables.
func (b *Bus) Module(name string) *Module {
	b.wiring("module", name)
	m := &Module{bus: b, name: name, emits: map[string]bool{}, outside: map[string]bool{}, wiredAt: wiringSite()}
	if name == ownName {
		b.mistake("module %q: the name is the bus's own", name)
	}
	if !validName.MatchString(name) {
		b.mistake("module %q: a name is lower case letters, digits, and dashes within", name)
	}
	if b.modules[name] != nil {
		b.mistake("module %q is wired twice", name)
	}
	b.modules[name] = m
	return m
}

// Migrations gives the module's tables: numbered SQL files, at the top of fsys or one folder below, each applied once, in
// the order of their names and in a transaction of its own, before the first handler runs. The name of
// each table and view begins with the module's name and an underscore. A migration that makes, changes or drops anything
// else is refused.
func (m *Module) Migrations(fsys fs.FS) *Module {
	m.migrations = fsys
	return m
}

// Emits declares what the module's Do and Publish may emit. Zero values will do.
func (m *Module) Emits(events ...Event) *Module {
	for _, e := range events {
		if t := m.bus.declare(e, m.name); t != "" {
			m.emits[t] = true
		}
	}
	return m
}

// ForOutside marks events that the module emits for consumers outside of this program. An event that
// nobody consumes is otherwise a mistake in the wiring.
func (m *Module) ForOutside(events ...Event) *Module {
	for _, e := range events {
		if t := m.bus.register(e); t != "" {
			m.outside[t] = true
		}
	}
	return m
}

// unitLimit is how long a unit of work may hold the transaction.
const unitLimit = 10 * time.Second

// Do runs fn as one unit of work: what it writes through Tx and the events that it returns are one commit, on disk when
// Do returns without an error. What fn sets outside of itself it must set anew each time: when the journal has to write
// a group of work again, fn runs again. It returns the id of the flow that the events belong to, which is new unless
// ctx comes from Correlate. fn must not wait for the outside world: every other write waits for it. An error or a panic
// of fn undoes everything; an error is returned as it is.
//
// When ctx ends before the work has begun, it is not done; once it has begun, Do waits for its outcome. After an error
// nothing of it is on disk, but for ErrUnknown.
func (m *Module) Do(ctx context.Context, fn func(ctx context.Context) (Events, error)) (flow string, err error) {
	if ctx.Value(scopeKey{}) != nil {
		return "", fmt.Errorf("%w: %s", ErrNested, returnInstead)
	}
	if err := m.bus.mustNotNest(returnInstead, inTransactionPC, outsidePC); err != nil {
		return "", err
	}
	if err := errors.Join(m.mustBeHere(), m.bus.ready()); err != nil {
		return "", err
	}
	o := origin{module: m, declared: m.emits}
	o.correlation, _ = ctx.Value(correlationKey{}).(string)
	work := journal.Work{Module: m.name, Name: m.name + " (unit of work)", Limit: unitLimit}
	var started string // another variable: work that was abandoned may still write it
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

const returnInstead = "return the events instead"

// Publish emits facts that need no unit of work: in their order, all or none, on disk when it returns without an error.
// It returns the id of their flow.
func (m *Module) Publish(ctx context.Context, events ...Event) (flow string, err error) {
	return m.Do(ctx, func(context.Context) (Events, error) { return events, nil })
}

// View runs fn in a read-only transaction on a snapshot of the module's tables, and waits for nobody.
func (m *Module) View(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if err := m.mustBeHere(); err != nil {
		return err
	}
	return m.bus.View(ctx, fn)
}

// sealAndFollow seals out and runs what was to be done in the same transaction.
func (b *Bus) sealAndFollow(ctx context.Context, out Events, o origin) ([]*journal.Event, error) {
	var sealed []*journal.Event
	var then []func(context.Context) error
	_, err := protect(func() (_ Events, err error) { // the events' own methods are the users' code, too
		sealed, then, err = b.seal(out, o)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	for _, fn := range then {
		if _, err := b.transaction(func() (Events, error) { return nil, fn(ctx) }); err != nil {
			return nil, err
		}
	}
	return sealed, nil
}

// protect makes a panic an error, with its stack, and sees to it that an error can be read.
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
