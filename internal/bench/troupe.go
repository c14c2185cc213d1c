package bench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// program is the flow on a bus, on a journal.
type program struct {
	journal *sqlite.Journal
	bus     *bus.Bus
	module  *bus.Module
	gate    gate
	stop    context.CancelFunc
	ended   chan error
}

// start opens the journal at path with the defaults, and runs the bus on it. Whoever starts a program closes it.
func start(ctx context.Context, path string, inFlight int) (*program, error) {
	logger := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))
	j, err := sqlite.Open(ctx, path, sqlite.Config{Logger: logger})
	if err != nil {
		return nil, err
	}
	p := &program{journal: j, bus: bus.New(j, bus.Config{Logger: logger}), gate: newGate(inFlight), ended: make(chan error, 1)}
	p.wire()
	ctx, p.stop = context.WithCancel(ctx)
	go func() { p.ended <- p.bus.Run(ctx) }()
	select {
	case <-p.bus.Running():
		return p, nil
	case err := <-p.ended:
		p.stop()
		return nil, errors.Join(err, j.Close())
	}
}

func (p *program) close() error {
	p.stop()
	return errors.Join(<-p.ended, p.journal.Close())
}

func (p *program) wire() {
	p.module = p.bus.Module("bench").Emits(placed{}).ForOutside(told{}).Migrations(schema)
	react(p.module, "reserve", 1, func(e placed) reserved { return reserved(e) })
	react(p.module, "charge", 2, func(e reserved) charged { return charged(e) })
	react(p.module, "dispatch", 3, func(e charged) dispatched { return dispatched(e) })
	react(p.module, "complete", 4, func(e dispatched) completed { return completed(e) })
	react(p.module, "tell", 5, func(e completed) told {
		p.gate.leave()
		return told(e)
	})
}

// event is any event of the flow.
type event interface {
	bus.Event
	content() order
}

// react adds a reaction: one row through the bus's transaction, one event.
func react[In, Out event](m *bus.Module, name string, step int64, next func(In) Out) {
	var emits Out
	bus.On(m, name, func(ctx context.Context, e In) (bus.Events, error) {
		o := e.content()
		if _, err := bus.Tx(ctx).ExecContext(ctx, insertRow, step, o.OrderID, o.Total); err != nil {
			return nil, err
		}
		return bus.Emit(next(e)), nil
	}).Emits(emits)
}

func (p *program) publish(ctx context.Context, o order) error {
	_, err := p.module.Publish(ctx, placed{o})
	return err
}

// flows publishes l, waits until all its reactions are on disk, and returns how long that took.
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

// one runs a single flow and returns how long it took until its last reaction was on disk.
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
