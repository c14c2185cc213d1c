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

// deployable is a place for one process of the system: the one that there is, or one of several deployables. Its fields are
// guarded by the core's mutex.
type deployable struct {
	name    string   // "journal" where there is only one
	modules []string // that run here; nil for all
	number  int

	path   string
	images int
	life   *life
	up     chan struct{} // closed while it runs
}

// process is what a story calls what runs here.
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

// deploy says which processes there are.
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

// life is one process of the system, from its start to a stop or a crash. It is the journal that the bus sees: the real
// one, but that each piece of work passes the scheduler first.
type life struct {
	journal.Store
	core       *core
	deployable *deployable
	bus        *bus.Bus
	carrier    bus.Transport // nil where there is none
	end        *wiretest.End // of the broker; nil where there is none
	stop       context.CancelFunc
	ended      chan error
	stops      chan struct{} // closed when it begins to stop: it takes nothing new
	dead       chan struct{} // closed by a crash
	over       chan struct{} // closed when it has ended, one way or the other
	once       sync.Once
	arriving   atomic.Pointer[fault] // what is to go wrong with the message that is being taken in; nil when none is

	mu        sync.Mutex
	delivered map[string]*journal.Event // by id: what deliveries were about

	reaches func() map[string]reach

	has   map[string]bool  // events by id, as far as look has come
	last  int64            // the seq to which it has
	sends []*journal.Event // of them, those of the modules that run here
}

// die has the process reach nobody any more, at this instant.
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

// stopping reports whether the process has been told to stop.
func (l *life) stopping() bool {
	select {
	case <-l.stops:
		return true
	default:
		return false
	}
}

// close gives back what the process had open.
func (l *life) close() error {
	var err error
	if l.carrier != nil {
		err = l.carrier.Close()
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
		return fmt.Errorf("bustest: open the journal: %w", err)
	}
	l := &life{
		Store: store, core: c, deployable: p, ended: make(chan error, 1), has: map[string]bool{}, delivered: map[string]*journal.Event{},
		stops: make(chan struct{}), dead: make(chan struct{}), over: make(chan struct{}),
	}
	l.reaches = sync.OnceValue(l.allReaches)
	cfg := c.cfg
	if p.modules != nil {
		if err := l.connect(); err != nil {
			return errors.Join(fmt.Errorf("bustest: open the transport: %w", err), store.Close())
		}
		cfg.Modules, cfg.Transport = p.modules, l.carrier
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
		return errors.Join(fmt.Errorf("bustest: start: %w", err), l.close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.life = l
	close(p.up)
	return nil
}

// connect opens what lies between this process and the others.
func (l *life) connect() (err error) {
	c := l.core
	if c.carrier != nil {
		l.carrier, err = c.carrier(l.deployable.name)
		return err
	}
	l.end = c.broker.Transport(l.deployable.name)
	l.carrier = l.end
	if c.between != nil {
		l.carrier = c.between(l, l.carrier)
	}
	if c.sched != nil {
		l.carrier = &gatedCarrier{l.carrier, l}
	}
	return nil
}

// reach is who consumes an event type. One that nobody knows has none.
type reach struct{ here, elsewhere, known bool }

func (l *life) reach(eventType string) reach { return l.reaches()[eventType] }

func (l *life) allReaches() map[string]reach {
	all, w := map[string]reach{}, l.bus.Wiring()
	for _, e := range w.Events {
		all[e.Type] = reach{known: true}
	}
	for _, s := range w.Subscriptions {
		r := all[s.Consumes]
		if l.deployable.runs(moduleOf(s.Name)) {
			r.here = true
		} else {
			r.elsewhere = true
		}
		all[s.Consumes] = r
	}
	return all
}

// halt ends every process that there is.
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

// trespasses notes who reached for tables that are not theirs, while the store that knows is open.
func (c *core) trespasses(l *life) {
	if c.without&Fences != 0 {
		return
	}
	for _, line := range l.Trespasses() {
		c.fault("%s", line)
	}
}

// alive returns the processes that there are.
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

// current waits for the first process, and returns it.
func (c *core) current() *life { return c.running(c.procs[0]) }

// lives waits for all processes.
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
			runtime.Goexit() // a scenario that was given up
		}
	}
}

// Restart stops the system in order, one process after the other, and starts it again on the same journals.
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

// Replay gives the dead letters of a subscription another chance, as a person would, and restarts the system, which so
// hears of it at once.
func (c *core) Replay(subscription string) {
	c.t.Helper()
	if n, err := c.where(moduleOf(subscription)).Replay(c.ctx, subscription); err != nil || n == 0 {
		c.t.Fatalf("replay %s: %d dead letters: %v", subscription, n, err)
	}
	c.Restart()
}

// Crash kills the system where it is: all that is not committed is gone. Of several processes each is killed, one after the
// other. Then it starts again.
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

// revive starts new processes on what dead ones have left.
func (c *core) revive() error {
	c.rest()
	for _, l := range c.alive() {
		if !l.isDead() {
			continue
		}
		if err := c.reviveOne(l); err != nil {
			return fmt.Errorf("bustest: crash: %w", err)
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
	if l.carrier != nil { // first: what is acknowledged from here on would not be in the image
		if err := l.carrier.Close(); err != nil {
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

type actKey struct{}

// act runs fn until it is answered by a living system whose store takes the work.
func (c *core) act(what string, fn func(ctx context.Context) error) error {
	for {
		lives := c.lives()
		err := fn(context.WithValue(c.ctx, actKey{}, what))
		dead := slices.IndexFunc(lives, (*life).isDead)
		if dead < 0 && (errors.Is(err, journal.ErrClosed) || errors.Is(err, bus.ErrNotRunning)) { // one was stopped, and clients ask again
			dead = slices.IndexFunc(lives, (*life).stopping)
		}
		switch {
		case errors.Is(err, errRefused): // nothing is done, and clients ask again
			continue
		case err == nil || dead < 0:
			return err
		}
		<-lives[dead].over
	}
}
