package bustest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// core is a system that runs, without the types of what it is.
type core struct {
	t        testing.TB
	ctx      context.Context
	dir      string
	open     func(ctx context.Context, path string) (journal.Store, error)
	wire     func(b *bus.Bus)
	verify   func(ctx context.Context, tx *sql.Tx, w *World) ([]string, error)
	cfg      bus.Config
	realTime bool
	world    *World
	sched    *scheduler // nil in Run: nothing waits for anybody's decision
	seen     *coverage
	gap      time.Duration // between a reaction and the same again
	died     atomic.Bool   // something became a dead letter
	asleep   atomic.Int64  // until when the scenario lets time pass, in nanoseconds since 1970

	mu        sync.Mutex
	path      string
	images    int
	life      *life
	up        chan struct{} // closed while a process runs
	over      chan struct{} // closed when there will be none any more
	wrong     []string      // what was found on the way
	without   Part
	expect    map[string]bool
	delivered map[string]*journal.Event // by id: what deliveries were about
}

func newCore(t testing.TB, cfg bus.Config, dir string) *core {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &core{
		t: t, ctx: context.WithoutCancel(t.Context()), dir: dir, cfg: cfg, path: filepath.Join(dir, "journal.db"), gap: 1,
		up: make(chan struct{}), over: make(chan struct{}), expect: map[string]bool{}, delivered: map[string]*journal.Event{}, seen: newCoverage(),
	}
	c.cfg.Chance = func() float64 { return 0.5 }
	c.world = &World{core: c, services: map[string]*Service{}}
	return c
}

// life is one process of the system, from its start to a stop or a crash. It is the journal that the bus sees: the real
// one, but that each piece of work passes the scheduler first.
type life struct {
	journal.Store
	core  *core
	bus   *bus.Bus
	stop  context.CancelFunc
	ended chan error
	stops chan struct{} // closed when it begins to stop: it takes nothing new
	dead  chan struct{} // closed by a crash
	over  chan struct{} // closed when it has ended, one way or the other
	once  sync.Once
}

func (l *life) die() { l.once.Do(func() { close(l.dead) }) }

func (l *life) isDead() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// boot starts a process on the journal.
func (c *core) boot() error {
	store, err := c.open(c.ctx, c.path)
	if err != nil {
		return fmt.Errorf("bustest: open the journal: %w", err)
	}
	l := &life{Store: store, core: c, ended: make(chan error, 1), stops: make(chan struct{}), dead: make(chan struct{}), over: make(chan struct{})}
	l.bus = bus.New(l, c.cfg)
	c.wire(l.bus)
	ctx, stop := context.WithCancel(c.ctx)
	l.stop = stop
	go func() { l.ended <- l.bus.Run(ctx) }()
	select {
	case <-l.bus.Running():
	case err := <-l.ended:
		stop()
		return errors.Join(fmt.Errorf("bustest: start: %w", err), store.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.life = l
	close(c.up)
	return nil
}

// halt ends the process, if there is one.
func (c *core) halt() error {
	c.mu.Lock()
	l := c.life
	if l != nil {
		c.life, c.up = nil, make(chan struct{})
	}
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	defer close(l.over)
	c.trespasses(l)
	close(l.stops)
	l.stop()
	return errors.Join(<-l.ended, l.Close())
}

// trespasses notes who reached for tables that are not theirs, while the store that knows is open.
func (c *core) trespasses(l *life) {
	if c.without&Fences != 0 {
		return
	}
	for _, line := range l.Trespasses() {
		c.fault("%s", line)
	}
}

// alive returns the process, or nil when there is none.
func (c *core) alive() *life {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life
}

// current waits for a process, and returns it.
func (c *core) current() *life {
	for {
		c.mu.Lock()
		l, up := c.life, c.up
		c.mu.Unlock()
		if l != nil {
			return l
		}
		select {
		case <-up:
		case <-c.over:
			runtime.Goexit() // a scenario that was given up
		}
	}
}

// Restart stops the process in order, and starts it again on the same journal.
func (c *core) Restart() {
	c.t.Helper()
	if c.sched != nil {
		c.sched.ask(&wish{restart: true})
		return
	}
	if err := errors.Join(c.halt(), c.boot()); err != nil {
		c.t.Fatal(err)
	}
}

// Replay gives the dead letters of a subscription another chance, as a person would, and restarts the process, which so
// hears of it at once.
func (c *core) Replay(subscription string) {
	c.t.Helper()
	if n, err := c.current().Replay(c.ctx, subscription); err != nil || n == 0 {
		c.t.Fatalf("replay %s: %d dead letters: %v", subscription, n, err)
	}
	c.Restart()
}

// Crash kills the process where it is: all that is not committed is gone. Then it starts it again.
func (c *core) Crash() {
	c.t.Helper()
	l := c.current()
	if c.sched != nil {
		c.sched.ask(&wish{crash: true})
		<-l.over
		c.current()
		return
	}
	l.die()
	if err := c.revive(); err != nil {
		c.t.Fatal(err)
	}
}

// revive starts a new process on what a dead one has left.
func (c *core) revive() error {
	c.rest()
	c.mu.Lock()
	l := c.life
	c.images++
	image := filepath.Join(c.dir, fmt.Sprintf("journal-%d.db", c.images))
	c.mu.Unlock()
	if err := l.Image(c.ctx, image); err != nil {
		return fmt.Errorf("bustest: crash: %w", err)
	}
	if err := c.halt(); err != nil {
		return fmt.Errorf("bustest: crash: %w", err)
	}
	c.path = image
	return c.boot()
}

// rest waits until nobody can go on without time passing.
func (c *core) rest() {
	if !c.realTime {
		synctest.Wait()
	}
}

// shutdown ends everything, and fails the test when that goes wrong.
func (c *core) shutdown() {
	if err := c.halt(); err != nil {
		c.t.Errorf("bustest: stop: %v", err)
	}
}

// patience is how long Quiet waits, in the test's time, before it says what is busy.
const patience = 366 * 24 * time.Hour

// Quiet returns when nothing is ready, in flight or waiting for a retry; time passes as it must. When that does not come
// about, within a year of virtual time or 10 s of real time, the test fails with what is still busy.
func (c *core) Quiet() {
	c.t.Helper()
	if c.sched != nil {
		c.sched.ask(&wish{})
		return
	}
	limit := patience
	if c.realTime {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	defer cancel()
	c.rest()
	l := c.current()
	if err := l.Store.Quiet(ctx); err != nil {
		c.t.Fatalf("not quiet after %v: %s", limit, c.busy(l))
	}
	c.rest()
}

// busy says what is not done.
func (c *core) busy(l *life) string {
	b := l.Backlog()
	text := fmt.Sprintf("%d ready, %d in flight, %d retrying, %d blocked", b.Ready, b.InFlight, b.Retrying, b.Blocked)
	flows, err := l.Flows(c.ctx)
	if err != nil {
		return text + ": " + err.Error()
	}
	for _, f := range flows {
		for _, e := range f.Events {
			for _, r := range e.Reactions {
				if !r.Outcome.Final() {
					text += fmt.Sprintf("\n  %s of %s %s: %s, %d attempts %s", r.Subscription, e.Type, e.Key, r.Outcome, r.Attempts, r.Error)
				}
			}
		}
	}
	return text
}

// Advance lets d pass. What is due on the way happens on the way. A reaction takes some nanoseconds.
func (c *core) Advance(d time.Duration) {
	c.asleep.Store(time.Now().Add(d).UnixNano())
	time.Sleep(d)
	if c.sched == nil {
		c.rest()
	}
}

// Context is good for the whole test.
func (c *core) Context() context.Context { return c.ctx }

// Flows returns every flow on record, in the order in which they began.
func (c *core) Flows() ([]*journal.Flow, error) { return c.current().Store.Flows(c.ctx) }

// T is what the test fails with. In a scenario that is explored it belongs to the schedule: a failure is part of the search, and
// ends no other schedule. Failing the test's own t there fails the test without a story.
func (c *core) T() testing.TB { return c.t }

// World is what is outside.
func (c *core) World() *World { return c.world }

// Bus is the running bus. It is another one after Restart and Crash.
func (c *core) Bus() *bus.Bus { return c.current().bus }

// Expect says that dead letters of these subscriptions are part of the test. Others fail it.
func (c *core) Expect(subscriptions ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range subscriptions {
		c.expect[s] = true
	}
}

// fault notes something that must not be.
func (c *core) fault(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.wrong, line) {
		c.wrong = append(c.wrong, line)
	}
}

type actKey struct{}

// act runs fn until it is answered by a living process.
func (c *core) act(what string, fn func(ctx context.Context) error) error {
	for {
		l := c.current()
		err := fn(context.WithValue(c.ctx, actKey{}, what))
		if !l.isDead() {
			return err
		}
		<-l.over
	}
}
