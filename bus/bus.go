package bus

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// Config says how a bus runs. The zero value works.
type Config struct {
	// Retry is the policy of subscriptions that have none of their own. Its fields default as they say.
	Retry Retry
	// Timeout is how long a handler may take: one in the transaction, and an external one. Defaults to 5 s and 30 s.
	Timeout, ExternalTimeout time.Duration
	// MaxHops is how many reactions may lie between the start of a flow and an event of it: the end of a loop. Defaults
	// to 64.
	MaxHops int
	// MaxPayload limits an event's encoded size, in bytes. Defaults to 1 MiB.
	MaxPayload int
	// ShutdownTimeout is how long handlers may go on after Run's context has ended. Defaults to 10 s.
	ShutdownTimeout time.Duration
	// Chance draws a number from [0, 1), for the jitter of retries, and of tries to reach the others. Defaults to that of
	// math/rand/v2.
	Chance func() float64
	// Modules are the names of those that run in this process; the others are wired, too, so that it is known who emits and
	// consumes what, but run in others. Defaults to all that are wired.
	Modules []string
	// Transport carries events to the modules that run elsewhere, and from them. Whoever opened it closes it, after Run has
	// returned. Defaults to none: every module runs here.
	Transport Transport
	// Middleware is Watermill's, around every reaction, the first outermost. One that acknowledges a message without
	// calling on makes the event dropped; one that fails it makes it retried: neither can lose it.
	Middleware []message.HandlerMiddleware
	// Logger takes one line for every failure. Defaults to slog.Default.
	Logger *slog.Logger
}

// Validate joins everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if err := c.Retry.validate(); err != nil {
		errs = append(errs, err)
	}
	if c.Timeout < 0 || c.ExternalTimeout < 0 || c.ShutdownTimeout < 0 {
		errs = append(errs, fmt.Errorf("Timeout is %v, ExternalTimeout %v, ShutdownTimeout %v: want 0 for the default, or more", c.Timeout, c.ExternalTimeout, c.ShutdownTimeout))
	}
	if c.MaxHops < 0 || c.MaxPayload < 0 {
		errs = append(errs, fmt.Errorf("MaxHops is %d, MaxPayload %d: want 0 for the default, or more", c.MaxHops, c.MaxPayload))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Retry = c.Retry.withDefaults(defaultRetry)
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.ExternalTimeout == 0 {
		c.ExternalTimeout = 30 * time.Second
	}
	if c.MaxHops == 0 {
		c.MaxHops = 64
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = 1 << 20
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 10 * time.Second
	}
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

// Bus holds modules together. It is wired by one goroutine, before Run; then wiring panics, and all other methods
// are safe for concurrent use.
type Bus struct {
	cfg     Config
	journal journal.Journal

	modules       map[string]*Module
	subscriptions []*subscription
	types         map[string]eventType
	mistakes      []error

	state     atomic.Int32
	reactions atomic.Int64  // that have begun and not ended
	ended     chan struct{} // capacity 1: the last of them has, while the bus is stopping
	running   chan struct{}
	work      context.Context // of external calls; ends when the time for shutdown is over
	taking    context.Context // ends when the bus is stopping: no reaction begins any more
	inside    atomic.Int64    // pieces of the users' code that are running within work
	wires     wires
}

// eventType is what the wiring knows of a type of event.
type eventType struct {
	goType  reflect.Type
	emitter string // the module that emits it
	wiredAt string // file and line where it was first declared
}

const (
	wired int32 = iota
	starting
	up
	stopping
)

// New makes a bus on j. A bus without a journal can be checked and described, and not run. Mistakes in c are reported with those of the wiring.
func New(j journal.Journal, c Config) *Bus {
	b := &Bus{
		cfg: c.withDefaults(), journal: j, modules: map[string]*Module{}, types: map[string]eventType{},
		running: make(chan struct{}), ended: make(chan struct{}, 1),
	}
	if err := c.Validate(); err != nil {
		b.mistakes = append(b.mistakes, joined(err)...)
	}
	return b
}

// Run checks the wiring, brings the modules' tables up to date, and handles events until ctx ends. Mistakes in the wiring
// are all in one error, an ErrWiring, and nothing has run then. It is called once.
func (b *Bus) Run(ctx context.Context) error {
	if err := b.Check(); err != nil {
		return err
	}
	if b.journal == nil {
		return fmt.Errorf("%w: New was given no journal: open one, see transports/sqlite", ErrWiring)
	}
	if !b.state.CompareAndSwap(wired, starting) {
		return errors.New("bus: Run is called twice")
	}
	if err := b.migrate(ctx); err != nil {
		return err
	}
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	taking, stopTaking := context.WithCancel(work)
	defer stopTaking()
	b.work, b.taking = work, taking
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
		return fmt.Errorf("bus: start: %w", err)
	}
	b.state.Store(up)
	close(b.running)
	replaced, closeWires := b.wires.run(ctx, work)
	defer closeWires()
	var fatal error
	select {
	case <-ctx.Done():
	case fatal = <-replaced:
		fatal = fmt.Errorf("bus: stopped: %w", fatal)
	case err := <-ended:
		b.state.Store(stopping)
		stopTaking()
		return errors.Join(errors.New("bus: the router stopped by itself"), err)
	}
	b.state.Store(stopping)
	stopTaking()
	b.drain(cancelWork)
	return errors.Join(fatal, router.Close(), <-ended)
}

// tables are the migrations of the modules that run here, by module.
func (b *Bus) tables() map[string]fs.FS {
	tables := map[string]fs.FS{}
	for _, m := range b.modules {
		if m.migrations != nil && m.here() {
			tables[m.name] = m.migrations
		}
	}
	return tables
}

// migrate brings the modules' tables up to date, unless the journal and the program do not fit: a program that is refused changes
// nothing, so that the right one can still run.
func (b *Bus) migrate(ctx context.Context) error {
	tables := b.tables()
	if err := b.journal.Fits(ctx, tables, specsOf(append(b.own(), b.subscriptions...))); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if err := b.journal.Migrate(ctx, name, tables[name]); err != nil {
			return fmt.Errorf("bus: tables of module %s: %w", name, err)
		}
	}
	return nil
}

// specsOf are subs as the journal is to know them.
func specsOf(subs []*subscription) (specs []journal.Subscription) {
	for _, s := range subs {
		spec := s.spec()
		spec.Elsewhere = !s.module.here()
		specs = append(specs, spec)
	}
	return specs
}

// afterCancel is how long handlers may take to notice that their context has ended, before they are left behind.
const afterCancel = 5 * time.Second

// drain waits for the reactions that have begun; cancelWork ends the external ones when their time is over. The Router would wait
// for them too, but under a lock, under which testing/synctest lets no time pass.
func (b *Bus) drain(cancelWork func()) {
	limit := time.AfterFunc(b.cfg.ShutdownTimeout, cancelWork)
	defer limit.Stop()
	end := time.NewTimer(b.cfg.ShutdownTimeout + afterCancel)
	defer end.Stop()
	for b.reactions.Load() > 0 {
		select {
		case <-b.ended:
		case <-end.C:
			return
		}
	}
}

// begin notes a reaction, and reports false when none may begin any more. Each ends with end.
func (b *Bus) begin() bool {
	b.reactions.Add(1)
	return b.state.Load() != stopping
}

func (b *Bus) end() {
	if b.reactions.Add(-1) == 0 && b.state.Load() == stopping {
		select {
		case b.ended <- struct{}{}:
		default:
		}
	}
}

// router puts every subscription on a Watermill router.
func (b *Bus) router(ctx context.Context) (*message.Router, error) {
	all := append(b.own(), b.subscriptions...)
	subscribers, err := b.journal.Subscribe(ctx, specsOf(all))
	if err != nil {
		return nil, fmt.Errorf("bus: subscribe: %w", err)
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: b.cfg.ShutdownTimeout + afterCancel}, newRouterLogger(b.cfg.Logger))
	if err != nil {
		return nil, fmt.Errorf("bus: router: %w", err)
	}
	all = slices.DeleteFunc(all, func(s *subscription) bool { return !s.module.here() })
	if len(b.cfg.Middleware) > 0 {
		router.AddMiddleware(account(all))
		router.AddMiddleware(b.cfg.Middleware...)
	}
	for _, s := range all {
		router.AddConsumerHandler(s.name, s.eventType, subscribers[s.name], s.react)
	}
	return router, nil
}

// Running is closed when Run is ready for work.
func (b *Bus) Running() <-chan struct{} { return b.running }

// Ready says why the bus takes no work at the moment, or nil: Run has not got so far, or is stopping. It waits for nothing.
func (b *Bus) Ready() error { return b.ready() }

// ready says whether work can be taken.
func (b *Bus) ready() error {
	switch b.state.Load() {
	case up:
		return nil
	case wired, starting:
		return fmt.Errorf("%w: call Run, and wait for Running", ErrNotRunning)
	default:
		return fmt.Errorf("%w: it is stopping", ErrNotRunning)
	}
}

// View runs fn in a read-only transaction on a snapshot. It waits for nobody. Where there is a transaction already, in a
// handler or a unit of work, it is an ErrNested: the snapshot would lack what that transaction wrote.
func (b *Bus) View(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if s, _ := ctx.Value(scopeKey{}).(*scope); s != nil && s.tx != nil {
		return fmt.Errorf("%w: %s", ErrNested, readThroughTx)
	}
	if err := b.mustNotNest(readThroughTx, inTransactionPC); err != nil {
		return err
	}
	return b.journal.View(ctx, fn)
}

// Quiet returns when nothing is ready, in flight or waiting for a retry, or with ctx's error. Events delayed with
// After, keys that wait for a person, and dead letters do not count.
func (b *Bus) Quiet(ctx context.Context) error { return b.journal.Quiet(ctx) }

const readThroughTx = "a View would not see what this transaction wrote: read through Tx"
