package bustest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// core is a system that runs, without the types of what it is.
type core struct {
	t        testing.TB
	ctx      context.Context
	dir      string
	open     func(ctx context.Context, path string) (journal.Store, error)
	wire     func(p *deployable, b *bus.Bus)
	carrier  func(group string) (bus.Transport, error) // nil where it is the broker
	broker   *wiretest.Broker
	between  func(*life, bus.Transport) bus.Transport // nil but in tests of this package
	verify   func(ctx context.Context, tables func(module string) *sql.Tx, w *World) ([]string, error)
	cfg      bus.Config
	realTime bool
	world    *World
	sched    *scheduler // nil in Run: nothing waits for anybody's decision
	seen     *coverage
	gap      time.Duration // between a reaction and the same again
	store    refusals
	died     atomic.Bool  // something became a dead letter
	offset   atomic.Int64 // of the wall clock, in nanoseconds
	asleep   atomic.Int64 // until when the scenario lets time pass, in nanoseconds since 1970

	procs   []*deployable
	mu      sync.Mutex
	over    chan struct{} // closed when there will be no process any more
	wrong   []string      // what was found on the way
	without Part
	expect  map[string]bool
}

func newCore(t testing.TB, cfg bus.Config, dir string) *core {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &core{
		t: t, ctx: context.WithoutCancel(t.Context()), dir: dir, cfg: cfg, gap: 1,
		over: make(chan struct{}), expect: map[string]bool{}, seen: newCoverage(),
	}
	c.ctx = journal.WithClock(c.ctx, c.now)
	c.store.stuck = make(chan struct{})
	c.cfg.Chance = func() float64 { return 0.5 }
	c.world = &World{core: c, services: map[string]*Service{}}
	return c
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

// T is what the test fails with. In a scenario that is explored it belongs to the schedule: a failure is part of the search, and
// ends no other schedule. Failing the test's own t there fails the test without a story.
func (c *core) T() testing.TB { return c.t }

// World is what is outside.
func (c *core) World() *World { return c.world }

// Bus is the running bus, in a system of several deployables that of the first one. It is another one after Restart and Crash.
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
