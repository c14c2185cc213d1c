package bus

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/internal/backoff"
	"github.com/troupebus/troupe/bus/internal/react"
	"github.com/troupebus/troupe/bus/internal/routerlog"
	"github.com/troupebus/troupe/bus/internal/wiring"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Config is the configuration of a bus. The zero value works.
type Config struct {
	// Retry is the policy of handlers in a transaction, and ExternalRetry of external handlers, without Handler.Retry.
	// Each field of Retry has a default of its own.
	Retry, ExternalRetry Retry
	// Timeout limits an attempt of a handler in a transaction, and defaults to 5 s. ExternalTimeout limits an attempt of
	// an external handler, and defaults to 30 s.
	Timeout, ExternalTimeout time.Duration
	// UnitTimeout limits the time that a unit of work, Commit, or the record of an external handler may have the
	// transaction. Defaults to 10 s.
	UnitTimeout time.Duration
	// KeepKeys is the time after which an idempotency key of Do is forgotten. Defaults to 7 days.
	KeepKeys time.Duration
	// MaxHops limits the number of reactions between the first event of a flow and any other, so that a loop of reactions
	// ends. An event that is delayed by a second or more counts as a first event: a chain of timers is no loop. Defaults
	// to 64.
	MaxHops int
	// MaxPayload limits the encoded size of an event, in bytes. Defaults to 1 MiB. A lower limit of the Transport
	// applies, too.
	MaxPayload int
	// Keys has the keys of encrypted payloads; see package encrypt. Required when an event type is encrypted.
	Keys encrypt.Keys
	// ShutdownTimeout is the time that running handlers have after the context of Run ends. Defaults to 10 s.
	ShutdownTimeout time.Duration
	// Chance returns a random number in [0, 1), for the jitter of retries: of reactions, and of tries to reach the
	// Transport. Defaults to rand.Float64 of math/rand/v2.
	Chance func() float64
	// Modules are the names of the modules that run in this process. Wire the others, too: the bus must know the events
	// that every module emits and consumes. Defaults to all wired modules.
	Modules []string
	// Transport carries events to and from the modules that run in other processes. The caller closes the Transport after
	// Run has returned. Defaults to none: every module must run here.
	Transport Transport
	// Middleware is Watermill middleware around every reaction, the first outermost. Middleware sees the error of an
	// attempt that the bus retries or makes a dead letter, after the journal has recorded the outcome, and cannot change
	// the outcome: a second call of the handler returns the same error. An event is never lost in middleware: a message
	// that is acknowledged without a call of the handler is recorded as dropped, and a message that fails without a call
	// as a failed attempt.
	Middleware []message.HandlerMiddleware
	// Around runs around every run of a handler, in the transaction of a transactional handler, and calls next for the
	// run. Delivery(ctx) describes the delivery, and the handler gets the values that Around adds to the context. next
	// returns the error of the handler, also Dead, RetryAfter or Drop, and a panic as an error. An attempt succeeds when
	// next and Around both return nil. The error of a failed attempt is the error of Around, or else of next. Call next
	// once: without a call, or with a second call, the attempt fails. Defaults to none.
	Around func(ctx context.Context, e Event, next func(ctx context.Context) error) error
	// Logger gets a line for every failed reaction. Defaults to slog.Default.
	Logger *slog.Logger
}

// Validate returns all mistakes in c, joined in one error.
func (c Config) Validate() error {
	var errs []error
	if err := backoff.Policy(c.Retry).Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := backoff.Policy(c.ExternalRetry).Validate(); err != nil {
		errs = append(errs, fmt.Errorf("ExternalRetry: %w", err))
	}
	if min(c.Timeout, c.ExternalTimeout, c.UnitTimeout, c.KeepKeys, c.ShutdownTimeout) < 0 {
		errs = append(errs, fmt.Errorf("Timeout is %v, ExternalTimeout %v, UnitTimeout %v, KeepKeys %v, ShutdownTimeout %v: "+
			"want 0 for the default, or more", c.Timeout, c.ExternalTimeout, c.UnitTimeout, c.KeepKeys, c.ShutdownTimeout))
	}
	if c.MaxHops < 0 || c.MaxPayload < 0 {
		errs = append(errs, fmt.Errorf("MaxHops is %d, MaxPayload %d: want 0 for the default, or more", c.MaxHops, c.MaxPayload))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Retry = Retry(backoff.Policy(c.Retry).Or(backoff.Default))
	c.ExternalRetry = Retry(backoff.Policy(c.ExternalRetry).Or(backoff.External))
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.ExternalTimeout = cmp.Or(c.ExternalTimeout, 30*time.Second)
	c.UnitTimeout = cmp.Or(c.UnitTimeout, 10*time.Second)
	c.KeepKeys = cmp.Or(c.KeepKeys, 7*24*time.Hour)
	c.MaxHops = cmp.Or(c.MaxHops, 64)
	c.MaxPayload = cmp.Or(c.MaxPayload, 1<<20)
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, 10*time.Second)
	if c.Chance == nil {
		c.Chance = rand.Float64
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Transport != nil {
		if most := c.Transport.Features().MaxPayload; most > 0 {
			c.MaxPayload = min(c.MaxPayload, most)
		}
	}
	return c
}

// Bus connects modules. Wire the bus in one goroutine, before Run: wiring a running bus panics. All other methods are
// safe for concurrent use.
type Bus struct {
	cfg     Config
	journal journal.Journal
	now     func() time.Time // the wall clock

	modules       map[string]*Module
	subscriptions []*subscription
	schedules     []*Schedule
	types         wiring.Types
	mistakes      []error

	state   atomic.Int32
	running chan struct{}
	engine  *react.Engine
	wires   wire.Wires
}

const (
	wired int32 = iota
	starting
	up
	stopping
)

// New returns a bus on j. A bus with a nil journal can be checked and described, but not run. Check and Run report the
// mistakes in c.
func New(j journal.Journal, c Config) *Bus {
	b := &Bus{
		cfg: c.withDefaults(), journal: j, now: time.Now, modules: map[string]*Module{}, types: wiring.Types{},
		running: make(chan struct{}),
	}
	b.engine = &react.Engine{
		Journal: j, Logger: b.cfg.Logger, Chance: b.cfg.Chance, UnitTimeout: b.cfg.UnitTimeout,
		RunsHere: func(module string) bool { m := b.modules[module]; return m != nil && m.runsHere() },
	}
	if err := c.Validate(); err != nil {
		b.mistakes = append(b.mistakes, joined(err)...)
	}
	return b
}

// Run checks the wiring, migrates the tables of the modules, and handles events until ctx ends. Mistakes in the wiring
// are returned together, in one ErrWiring, before anything is written. After the end of ctx, Run starts no further
// reaction, waits for the running handlers as the package documentation says under "Shutdown", and returns nil after an
// orderly shutdown. Call Run once.
func (b *Bus) Run(ctx context.Context) error {
	if err := b.Check(); err != nil {
		return err
	}
	if b.journal == nil {
		return fmt.Errorf("%w: New was given no journal: open one, see transports/sqlite", ErrWiring)
	}
	if !b.state.CompareAndSwap(wired, starting) {
		return errors.New("bus: Run was called twice: make a new Bus for each Run")
	}
	if err := b.migrate(ctx); err != nil {
		return err
	}
	work, accepting, endWork := b.engine.Start(ctx)
	defer endWork()
	b.now = journal.Clock(ctx)
	if err := b.openWires(ctx); err != nil {
		return err
	}
	router, err := b.router(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(work) }()
	select {
	case <-router.Running():
	case err := <-ended:
		return fmt.Errorf("start the router: %w", err)
	}
	b.state.Store(up)
	close(b.running)
	var ticking sync.WaitGroup
	for _, s := range b.schedules {
		if s.module.runsHere() {
			ticking.Go(func() { s.run(accepting) })
		}
	}
	replaced, closeWires := b.wires.Run(ctx, work)
	defer closeWires()
	var fatal error
	select {
	case <-ctx.Done():
	case fatal = <-replaced:
		fatal = fmt.Errorf("stopped: %w", fatal)
	case err := <-ended:
		b.state.Store(stopping)
		b.engine.Stop()
		return errors.Join(errors.New("bus: the router stopped unexpectedly"), err)
	}
	b.state.Store(stopping)
	b.engine.Stop()
	ticking.Wait()
	b.engine.Drain(b.cfg.ShutdownTimeout)
	return errors.Join(fatal, router.Close(), <-ended)
}

// tables returns the modules that run here, with their migrations or nil.
func (b *Bus) tables() map[string]fs.FS {
	tables := map[string]fs.FS{}
	for _, m := range b.modules {
		if m.runsHere() {
			tables[m.name] = m.migrations
		}
	}
	return tables
}

// migrate updates the tables of the modules. Before the first migration, migrate asks the journal whether the program
// fits: a program that is refused must leave the journal unchanged, so that the right program can still run.
func (b *Bus) migrate(ctx context.Context) error {
	tables := b.tables()
	if err := b.journal.Fits(ctx, tables, specsOf(append(b.ownSubscriptions(), b.subscriptions...))); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if tables[name] == nil {
			continue
		}
		if err := b.journal.Migrate(ctx, name, tables[name]); err != nil {
			return err
		}
	}
	return nil
}

// specsOf describes subs for the journal.
func specsOf(subs []*subscription) (specs []journal.Subscription) {
	for _, s := range subs {
		specs = append(specs, s.spec())
	}
	return specs
}

// router returns a Watermill router with every subscription that runs here.
func (b *Bus) router(ctx context.Context) (*message.Router, error) {
	all := append(b.ownSubscriptions(), b.subscriptions...)
	subscribers, err := b.journal.Subscribe(ctx, specsOf(all))
	if err != nil {
		return nil, err
	}
	config := message.RouterConfig{CloseTimeout: b.cfg.ShutdownTimeout + react.AfterCancel}
	router, err := message.NewRouter(config, routerlog.New(b.cfg.Logger))
	if err != nil {
		return nil, fmt.Errorf("make the router: %w", err)
	}
	all = slices.DeleteFunc(all, func(s *subscription) bool { return !s.module.runsHere() })
	if len(b.cfg.Middleware) > 0 {
		policies := map[string]*react.Policy{}
		for _, s := range all {
			policies[s.Name] = &s.Policy
		}
		router.AddMiddleware(react.Account(policies))
		router.AddMiddleware(b.cfg.Middleware...)
	}
	for _, s := range all {
		router.AddConsumerHandler(s.Name, strings.Join(s.types(), ","), subscribers[s.Name], s.React)
	}
	return router, nil
}

// Running returns a channel that is closed when Run is ready for work.
func (b *Bus) Running() <-chan struct{} { return b.running }

// Ready returns nil when the bus takes work, else an ErrNotRunning: Run is not ready yet, or is stopping. Ready does
// not block.
func (b *Bus) Ready() error {
	switch b.state.Load() {
	case up:
		return nil
	case wired, starting:
		return fmt.Errorf("%w: call Run, and wait for Running", ErrNotRunning)
	default:
		return fmt.Errorf("%w: the bus is stopping", ErrNotRunning)
	}
}

// View runs fn in a read-only transaction on a snapshot, and does not wait for writers. In a handler or a unit of work
// with a transaction, View returns an ErrNested, because the snapshot lacks the writes of the open transaction: read
// through Tx. An external handler has no transaction, and may call View. View returns a panic of fn as an error.
func (b *Bus) View(ctx context.Context, fn func(tx SQL) error) error {
	if s := react.ScopeOf(ctx); s != nil && s.Tx != nil {
		return fmt.Errorf("%w: %s", ErrNested, readThroughTx)
	}
	if b.engine.Calls.InTransaction() {
		return nested(readThroughTx)
	}
	if !b.engine.Calls.Within() {
		return b.journal.View(ctx, func(tx *sql.Tx) error { return fn(tx) })
	}
	return b.journal.View(ctx, func(tx *sql.Tx) (err error) { // in another goroutine, whose stack lacks the mark
		b.engine.Calls.Outside(func() { err = fn(tx) })
		return err
	})
}

// Wait waits until every subscription of this process has answered every event of a flow, or returns the error of ctx.
// flow is a result of Do or Publish. A dead letter is an answer. Wait waits for no delayed event, and no other process.
func (b *Bus) Wait(ctx context.Context, flow string) error { return b.journal.Wait(ctx, flow) }

// Quiet waits until no delivery is ready, in flight or waiting for a retry, or returns the error of ctx. Quiet does
// not wait for delayed events, for keys that wait for a person, or for dead letters.
func (b *Bus) Quiet(ctx context.Context) error { return b.journal.Quiet(ctx) }
