package torture

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/database"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/network"
	"github.com/troupebus/troupe/internal/torture/owner"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/transports/sqlite"
)

var modulesOf = map[string]string{story.Door: "front,moody", story.Ledger: "ledger", story.Tail: "tail"}

// across runs a schedule on a flow of three deployables. The deployables and the network between them fail.
type across struct {
	*run
	owners  map[string]*owner.Owner
	broker  *process // nil with a real server, and while the broker does not run
	port    string   // port of the broker
	network *network.Network
	clocks  map[string]*disk.Clock // by deployable; nil is the real clock
	backend []string               // arguments of the victim that name the backend

	brokerAt, prefix string             // of Kafka; brokerAt is empty with PostgreSQL
	excused          bool               // the bus may have dead letters
	deleted          bool               // records of the door's topic were deleted
	compacted        bool               // a topic of the door cannot be written
	database         *database.Database // nil without a PostgreSQL
}

func newAcross(r *run) (*across, error) {
	n, err := network.New()
	if err != nil {
		return nil, err
	}
	a := &across{run: r, owners: map[string]*owner.Owner{}, network: n, clocks: map[string]*disk.Clock{}}
	for _, name := range story.Deployables {
		a.clocks[name] = r.steppedClock()
	}
	r.clock = nil // the broker's clock is not stepped
	server := os.Getenv(story.Servers[r.schedule.Kind])
	switch {
	case r.schedule.Kind == story.OverBroker:
		at, err := network.FreeAddress()
		if err != nil {
			return nil, err
		}
		_, a.port, _ = net.SplitHostPort(at)
		a.brokerAt, a.prefix = at, "troupe"
	case server == "":
		return nil, fmt.Errorf("torture: schedules of kind %s need the server that %s names", r.schedule.Kind, story.Servers[r.schedule.Kind])
	case r.schedule.Kind == story.OverKafka:
		a.brokerAt, a.prefix = server, "torture-"+strings.ToLower(rand.Text()[:12])
	default:
		if a.database, err = database.Create(r.ctx, server); err != nil {
			return nil, err
		}
		a.backend = []string{"--database", a.database.URL}
	}
	if a.brokerAt != "" {
		a.backend = []string{"--brokers", a.brokerAt, "--prefix", a.prefix}
	}
	a.backend = append(a.backend, "--through", n.Address())
	return a, nil
}

func (a *across) journal(name string) string { return filepath.Join(filepath.Dir(a.path), name+".db") }

// play runs the steps, and then checks the journals.
func (a *across) play() {
	defer a.endAll()
	a.path = a.journal(story.Door) // the model knows the events that are published at the door
	for i, step := range a.schedule.Steps {
		if a.ctx.Err() != nil {
			return
		}
		a.step(i, step)
		pause.For(a.ctx, millis(step.Wait))
	}
	a.settle()
}

func (a *across) endAll() {
	a.network.Close()
	for _, o := range a.owners {
		o.Kill()
	}
	a.owner = nil
	if a.broker != nil {
		a.endProcess(story.Broker, a.broker, syscall.SIGKILL)
	}
	if a.database != nil {
		a.database.Drop(a.ctx)
	}
}

func (a *across) step(i int, s story.Step) {
	a.done(s)
	if s.Key == story.Broker {
		a.stepBroker(s)
		return
	}
	o := a.owners[s.Key]
	switch s.Do {
	case story.Start:
		a.serve(s.Key, map[string][]string{story.Older: {"--older"}}[s.Mood]...)
	case story.Stop:
		a.stop(s.Key)
	case story.Kill:
		if o != nil {
			a.measurePeak(s.Key)
			o.Kill()
			a.forget(s.Key)
		}
	case story.Freeze:
		if o != nil {
			o.Freeze(millis(s.For))
		}
	case story.Network:
		a.changeNetwork(s)
	case story.Meddle:
		a.meddle(s)
	case story.StepClock:
		stepClock(a.clocks[s.Key], s)
	case story.Command:
		a.command(s)
	case story.Weather:
		a.weather(disk.Weather(s.Mood), millis(s.For))
	case story.Finish:
		a.beside.Wait()
	case story.Publish, story.Work, story.Heal:
		a.run.carry(i, s)
	}
}

func (a *across) stepBroker(s story.Step) {
	switch {
	case a.port == "" && s.Do == story.Start: // a real server keeps running, and refuses connections
		a.network.Set("")
	case a.port == "" && s.Do == story.Freeze:
		a.changeNetwork(story.Step{Mood: story.Held, For: s.For})
	case a.port == "":
		a.network.Set(story.Refusing)
	case s.Do == story.Start:
		a.serveBroker()
	case s.Do == story.Stop || s.Do == story.Kill:
		if a.broker != nil {
			a.endProcess(story.Broker, a.broker, signals[s.Do])
			a.broker = nil
		}
	case s.Do == story.Freeze:
		if a.broker != nil {
			a.freezeProcess(a.broker, millis(s.For))
		}
	}
}

func (a *across) serveBroker() {
	if a.port == "" || a.broker != nil && !closed(a.broker.ended) {
		return
	}
	p, err := a.spawn(story.Broker, "broker", "--port", a.port, "--data", filepath.Join(a.folder, "broker"))
	if err != nil {
		a.find("machine", "the broker cannot be started: %v", err)
		return
	}
	a.broker = p
}

// serve starts a deployable, unless the deployable runs.
func (a *across) serve(name string, more ...string) {
	if o := a.owners[name]; o != nil && o.Alive() {
		return
	}
	args := append(append([]string{"--modules", modulesOf[name]}, a.backend...), more...)
	o, err := a.startOwnerBy(a.clocks[name], a.journal(name), args...)
	if err != nil {
		a.find("machine", "%s cannot be started: %v", name, err)
		return
	}
	a.owners[name] = o
	if name == story.Door {
		a.owner = o
	}
}

func (a *across) forget(name string) {
	delete(a.owners, name)
	if name == story.Door {
		a.owner = nil
	}
}

func (a *across) stop(name string) {
	o := a.owners[name]
	if o == nil {
		return
	}
	a.measurePeak(name)
	if !o.Stop(stopLimit) {
		a.find("stop", "%s did not end within %v of SIGTERM", name, stopLimit)
	}
	a.forget(name)
}

// changeNetwork sets the network to s.Mood for a while.
func (a *across) changeNetwork(s story.Step) {
	a.network.Set(s.Mood)
	a.beside.Go(func() {
		pause.For(a.ctx, millis(s.For))
		a.network.Set("")
	})
}

// command runs troupe on a journal. It checks that the command ends in time and without a crash, and ignores the
// output.
func (a *across) command(s story.Step) {
	args := append(s.Args[:len(s.Args):len(s.Args)], "--journal", a.journal(s.Key))
	a.beside.Go(func() {
		res := a.runFor(a.clocks[s.Key], commandLimit, a.machine.troupe, args...)
		if a.ctx.Err() == nil {
			a.ended("troupe "+strings.Join(args, " "), res)
		}
	})
}

// readers opens the journals of all deployables.
func (a *across) readers() (all map[string]*sqlite.Reader, shut func(), ok bool) {
	all = map[string]*sqlite.Reader{}
	shut = func() {
		for _, r := range all {
			_ = r.Close() // it only read
		}
	}
	for _, name := range story.Deployables {
		r, err := sqlite.OpenReader(a.ctx, a.journal(name))
		if err != nil {
			a.find("start", "the journal of %s cannot be read: %v", name, err)
			shut()
			return nil, nil, false
		}
		all[name] = r
	}
	return all, shut, true
}
