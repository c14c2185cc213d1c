package bustest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// deployable is a slot for a process of the system: the only process, or a process for some of the modules. The core's
// mutex guards the fields.
type deployable struct {
	name    string   // "journal" for an only process
	modules []string // the modules that run here; nil means all
	number  int

	path   string
	images int
	life   *life
	up     chan struct{} // closed while the process runs
}

// process returns the name of the process in stories.
func (p *deployable) process() string {
	if p.modules == nil {
		return "the process"
	}
	return "the process " + p.name
}

// runs reports whether module runs here.
func (p *deployable) runs(module string) bool {
	return p.modules == nil || slices.Contains(p.modules, module)
}

// deploy sets the deployables.
func (c *core) deploy(deployables [][]string) {
	if len(deployables) == 0 {
		deployables = [][]string{nil}
	}
	for i, modules := range deployables {
		p := &deployable{name: "journal", modules: modules, number: i, up: make(chan struct{})}
		if modules != nil {
			p.name = strings.Join(modules, "-")
		}
		p.path = filepath.Join(c.dir, p.name+".db")
		c.procs = append(c.procs, p)
	}
}

// life is a process of the system, from its start to a stop or a crash. To the bus, a life is the journal: the real
// journal, but each piece of work passes the scheduler first.
type life struct {
	journal.Store
	core       *core
	deployable *deployable
	bus        *bus.Bus
	transport  bus.Transport // nil without deployables
	end        *wiretest.End // of the broker; nil without a broker
	stop       context.CancelFunc
	ended      chan error
	stops      chan struct{} // closed when the process begins to stop, and takes no new work
	dead       chan struct{} // closed by a crash
	over       chan struct{} // closed when the process has ended in any way
	once       sync.Once
	arriving   atomic.Pointer[fault] // the fault for the message that is being taken in, or nil

	mu        sync.Mutex
	delivered map[string]*journal.Event // by id, the events of deliveries

	consumersByType func() map[string]consumers

	has   map[string]bool  // by id, the events that look has read
	last  int64            // the seq of the last such event
	sends []*journal.Event // the events from modules of this process
}

// die cuts the process off from the broker. From now on, the steps of the process fail.
func (l *life) die() {
	l.once.Do(func() {
		close(l.dead)
		if l.end != nil {
			l.end.Partition(true)
		}
	})
}

func (l *life) isDead() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// stopping reports whether the process has begun to stop.
func (l *life) stopping() bool {
	select {
	case <-l.stops:
		return true
	default:
		return false
	}
}

// close closes the transport and the journal.
func (l *life) close() error {
	var err error
	if l.transport != nil {
		err = l.transport.Close()
	}
	return errors.Join(err, l.Close())
}

// boot starts every process on its journal.
func (c *core) boot() error {
	for _, p := range c.procs {
		if err := c.start(p); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) start(p *deployable) error {
	store, err := c.open(c.ctx, p.path)
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	l := &life{
		Store: store, core: c, deployable: p, ended: make(chan error, 1),
		has: map[string]bool{}, delivered: map[string]*journal.Event{},
		stops: make(chan struct{}), dead: make(chan struct{}), over: make(chan struct{}),
	}
	l.consumersByType = sync.OnceValue(l.allConsumers)
	cfg := c.cfg
	if p.modules != nil {
		if err := l.connect(); err != nil {
			return errors.Join(fmt.Errorf("open the transport: %w", err), store.Close())
		}
		cfg.Modules, cfg.Transport = p.modules, l.transport
	}
	l.bus = bus.New(l, cfg)
	c.wire(p, l.bus)
	ctx, stop := context.WithCancel(c.ctx)
	l.stop = stop
	go func() { l.ended <- l.bus.Run(ctx) }()
	select {
	case <-l.bus.Running():
	case err := <-l.ended:
		stop()
		return errors.Join(fmt.Errorf("start: %w", err), l.close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.life = l
	close(p.up)
	return nil
}

// connect opens the transport of this process.
func (l *life) connect() (err error) {
	c := l.core
	if c.openTransport != nil {
		l.transport, err = c.openTransport(l.deployable.name)
		return err
	}
	l.end = c.broker.Transport(l.deployable.name)
	l.transport = l.end
	if c.between != nil {
		l.transport = c.between(l, l.transport)
	}
	if c.sched != nil {
		l.transport = &gatedTransport{l.transport, l}
	}
	return nil
}

// consumers reports where an event type is consumed. The zero value means an unknown type.
type consumers struct{ local, remote, known bool }

func (l *life) consumersOf(eventType string) consumers { return l.consumersByType()[eventType] }

func (l *life) allConsumers() map[string]consumers {
	all, w := map[string]consumers{}, l.bus.Wiring()
	for _, e := range w.Events {
		all[e.Type] = consumers{known: true}
	}
	for _, s := range w.Subscriptions {
		for _, t := range s.Consumes {
			r := all[t]
			if l.deployable.runs(journal.ModuleOf(s.Name)) {
				r.local = true
			} else {
				r.remote = true
			}
			all[t] = r
		}
	}
	return all
}

// halt ends all running processes.
func (c *core) halt() error {
	var errs []error
	for _, p := range c.procs {
		errs = append(errs, c.end(p))
	}
	return errors.Join(errs...)
}

func (c *core) end(p *deployable) error {
	c.mu.Lock()
	l := p.life
	if l != nil {
		p.life, p.up = nil, make(chan struct{})
	}
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	defer close(l.over)
	c.trespasses(l)
	close(l.stops)
	l.stop()
	return errors.Join(<-l.ended, l.close())
}

// trespasses notes accesses to other modules' tables, while the store with this knowledge is open.
func (c *core) trespasses(l *life) {
	if c.without&Fences != 0 {
		return
	}
	for _, line := range l.Trespasses() {
		c.fault("%s", line)
	}
}

// alive returns the running processes.
func (c *core) alive() []*life {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*life
	for _, p := range c.procs {
		if p.life != nil {
			all = append(all, p.life)
		}
	}
	return all
}

// current waits for the first process, and returns the process.
func (c *core) current() *life { return c.running(c.procs[0]) }

// lives waits for all processes, and returns the processes.
func (c *core) lives() []*life {
	var all []*life
	for _, p := range c.procs {
		all = append(all, c.running(p))
	}
	return all
}

// where waits for the process that runs a module.
func (c *core) where(module string) *life {
	for _, p := range c.procs {
		if p.runs(module) {
			return c.running(p)
		}
	}
	c.t.Fatalf("bustest: no deployable runs the module %q", module)
	return nil
}

func (c *core) running(p *deployable) *life {
	for {
		c.mu.Lock()
		l, up := p.life, p.up
		c.mu.Unlock()
		if l != nil {
			return l
		}
		select {
		case <-up:
		case <-c.over:
			runtime.Goexit() // the scenario was given up
		}
	}
}

// Restart stops the processes in an orderly way, one after the other, and starts all again on the same journals.
func (c *core) Restart() {
	c.t.Helper()
	c.restart(func() {})
}

// restart is Restart with a call of between while the system is stopped.
func (c *core) restart(between func()) {
	c.t.Helper()
	if c.sched != nil {
		c.sched.ask(&wish{between: between})
		return
	}
	err := c.halt()
	between()
	if err := errors.Join(err, c.boot()); err != nil {
		c.t.Fatal(err)
	}
}

// Replay replays the dead letters of a subscription, and restarts the system, so that the replay begins at once.
// Without dead letters, Replay fails the test.
func (c *core) Replay(subscription string) {
	c.t.Helper()
	if n, err := c.where(journal.ModuleOf(subscription)).Replay(c.ctx, subscription); err != nil || n == 0 {
		c.t.Fatalf("replay %s: %d dead letters: %v", subscription, n, err)
	}
	c.Restart()
}

// Crash kills the processes, one after the other: all uncommitted work is lost. Then the processes start again.
func (c *core) Crash() {
	c.t.Helper()
	if c.sched != nil {
		lives := c.lives()
		c.sched.ask(&wish{crash: true})
		for _, l := range lives {
			<-l.over
		}
		c.lives()
		return
	}
	for _, l := range c.lives() {
		l.die()
	}
	if err := c.revive(); err != nil {
		c.t.Fatal(err)
	}
}

// revive starts new processes on the journals of the dead processes.
func (c *core) revive() error {
	c.rest()
	for _, l := range c.alive() {
		if !l.isDead() {
			continue
		}
		if err := c.reviveOne(l); err != nil {
			return fmt.Errorf("crash: %w", err)
		}
	}
	return nil
}

func (c *core) reviveOne(l *life) error {
	p := l.deployable
	c.mu.Lock()
	p.images++
	image := filepath.Join(c.dir, fmt.Sprintf("%s-%d.db", p.name, p.images))
	c.mu.Unlock()
	if l.transport != nil { // first: the image would lack messages that are acknowledged later
		if err := l.transport.Close(); err != nil {
			return err
		}
	}
	if err := l.Image(c.ctx, image); err != nil {
		return err
	}
	if err := c.end(p); err != nil {
		return err
	}
	p.path = image
	return c.start(p)
}
