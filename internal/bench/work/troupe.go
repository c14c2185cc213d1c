package work

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// program runs the flow on a bus and a journal: all of the flow, or the part of a deployable.
type program struct {
	journal *sqlite.Journal
	bus     *bus.Bus
	module  *bus.Module // publishes the orders
	gate    gate
	ends    *ends // counts the ends of flows with reactions in another process; else nil, and Quiet suffices
	stop    context.CancelFunc
	ended   chan error
}

// silent returns the logger of all measured code.
func silent() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))
}

// start runs the whole flow on the journal at path, opened with the defaults. The caller closes the program.
func start(ctx context.Context, path string, inFlight int) (*program, error) {
	p := &program{gate: newGate(inFlight)}
	return p, p.run(ctx, path, bus.Config{}, func() { p.wire(together) })
}

// run opens the journal at path, and runs a bus that wire has wired. After an error no close is needed.
func (p *program) run(ctx context.Context, path string, c bus.Config, wire func()) (err error) {
	c.Logger = silent()
	if p.journal, err = sqlite.Open(ctx, path, sqlite.Config{Logger: c.Logger}); err != nil {
		return err
	}
	p.bus, p.ended = bus.New(p.journal, c), make(chan error, 1)
	wire()
	ctx, p.stop = context.WithCancel(ctx)
	go func() { p.ended <- p.bus.Run(ctx) }()
	select {
	case <-p.bus.Running():
		return nil
	case err := <-p.ended:
		p.stop()
		return errors.Join(err, p.journal.Close())
	}
}

func (p *program) close() error {
	p.stop()
	return errors.Join(<-p.ended, p.journal.Close())
}

// split names the module of each reaction. The first event and the last reaction always belong to mainModule.
type split [Reactions]string

const (
	mainModule = "bench"
	peerModule = "peer"
)

// together is a flow in a single module.
var together = split{mainModule, mainModule, mainModule, mainModule, mainModule}

// wire wires all modules of s, whether they run here or not.
func (p *program) wire(s split) {
	modules := map[string]*bus.Module{}
	for _, name := range append(s[:], mainModule) {
		if modules[name] == nil {
			modules[name] = p.bus.Module(name).Migrations(tablesOf(name))
		}
	}
	p.module = modules[mainModule].Emits(placed{}).ForOutside(notified{})
	react(modules[s[0]], insertRow(s[0]), "reserve", 1, func(e placed) reserved { return reserved(e) })
	react(modules[s[1]], insertRow(s[1]), "charge", 2, func(e reserved) charged { return charged(e) })
	react(modules[s[2]], insertRow(s[2]), "dispatch", 3, func(e charged) dispatched { return dispatched(e) })
	react(modules[s[3]], insertRow(s[3]), "complete", 4, func(e dispatched) completed { return completed(e) })
	react(modules[s[4]], insertRow(s[4]), "tell", 5, func(e completed) notified {
		p.gate.leave()
		if p.ends != nil {
			p.ends.note(e.order)
		}
		return notified(e)
	})
}

// event is an event of the flow.
type event interface {
	bus.Event
	content() order
}

// react adds a reaction: it writes a row by the statement insert through bus.Tx, and emits an event.
func react[In, Out event](m *bus.Module, insert, name string, step int64, next func(In) Out) {
	var emits Out
	bus.On(m, name, func(ctx context.Context, e In) (bus.Events, error) {
		o := e.content()
		if _, err := bus.Tx(ctx).ExecContext(ctx, insert, step, o.OrderID, o.Total); err != nil {
			return nil, err
		}
		return bus.Emit(next(e)), nil
	}).Emits(emits)
}

func (p *program) publish(ctx context.Context, o order) error {
	_, err := p.module.Publish(ctx, placed{o})
	return err
}

// flows publishes l, waits until all reactions are on disk, and returns the time.
func (p *program) flows(ctx context.Context, l load) (time.Duration, error) {
	started := time.Now()
	if err := l.publish(ctx, p.gate, p.publish); err != nil {
		return 0, err
	}
	if err := p.bus.Quiet(ctx); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// one runs a single flow, and returns the time until the last reaction is on disk.
func (p *program) one(ctx context.Context, n int64) (time.Duration, error) {
	o := newOrder(n)
	started := time.Now()
	if err := p.publish(ctx, o); err != nil {
		return 0, err
	}
	if err := p.bus.Quiet(ctx); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}
