package bustest

import (
	"context"
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

// core is the running system without the type parameter.
type core struct {
	t             testing.TB
	ctx           context.Context
	dir           string
	open          func(ctx context.Context, path string) (journal.Store, error)
	wire          func(p *deployable, b *bus.Bus)
	openTransport func(group string) (bus.Transport, error) // opens a deployable's transport; nil for the broker
	broker        *wiretest.Broker
	between       func(*life, bus.Transport) bus.Transport // nil except in tests of this package
	verify        func(ctx context.Context, tables func(module string) bus.SQL, w *World) ([]string, error)
	cfg           bus.Config
	realTime      bool
	world         *World
	sched         *scheduler // nil in Run: no step waits for a decision
	seen          *coverage
	gap           time.Duration // between the two runs of a reaction
	store         refusals
	died          atomic.Bool  // there was a dead letter
	offset        atomic.Int64 // of the wall clock, in nanoseconds
	asleep        atomic.Int64 // the end of the scenario's Advance, in nanoseconds since 1970

	procs   []*deployable
	mu      sync.Mutex
	over    chan struct{} // closed when no process will start any more
	wrong   []string      // faults that were found during the run
	without Part
	expect  map[string]bool
	acts    map[string]int // by name, the number of acts
}

func newCore(t testing.TB, cfg bus.Config, dir string) *core {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &core{
		t: t, ctx: context.WithoutCancel(t.Context()), dir: dir, cfg: cfg, gap: 1,
		over: make(chan struct{}), expect: map[string]bool{}, acts: map[string]int{}, seen: newCoverage(),
	}
	c.ctx = journal.WithClock(c.ctx, c.now)
	c.store.stuck = make(chan struct{})
	c.cfg.Chance = func() float64 { return 0.5 }
	c.world = &World{core: c, services: map[string]*Service{}}
	return c
}

// Advance lets d pass. Timers and retries that fall due during d run at their times. A reaction takes some
// nanoseconds of virtual time.
func (c *core) Advance(d time.Duration) {
	c.asleep.Store(time.Now().Add(d).UnixNano())
	time.Sleep(d)
	if c.sched == nil {
		c.rest()
	}
}

// Context returns a context for the whole test.
func (c *core) Context() context.Context { return c.ctx }

// T returns the testing.TB of the run. In an explored scenario, T belongs to the schedule: a failure is part of the
// search, and ends no other schedule. A failure of the test's own t fails the test without a story.
func (c *core) T() testing.TB { return c.t }

// World returns the fakes of external services.
func (c *core) World() *World { return c.world }

// Bus returns the running bus; with several deployables, the bus of the first. Restart and Crash replace the bus.
func (c *core) Bus() *bus.Bus { return c.current().bus }

// Expect allows dead letters of these subscriptions. Dead letters of other subscriptions fail the test.
func (c *core) Expect(subscriptions ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range subscriptions {
		c.expect[s] = true
	}
}

// fault notes a violation, each text once.
func (c *core) fault(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.wrong, line) {
		c.wrong = append(c.wrong, line)
	}
}
