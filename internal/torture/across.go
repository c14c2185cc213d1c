package torture

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver, for databases of a schedule's own

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/transports/sqlite"
)

var modulesOf = map[string]string{story.Door: "front,moody", story.Ledger: "ledger", story.Tail: "tail"}

// across is a schedule on a flow of three deployables. The wire between them fails, and so do they.
type across struct {
	*run
	owners  map[string]*owner
	broker  *process // nil where a real server carries the events, and while it does not run
	port    string   // of the broker
	network *network
	clocks  map[string]*disk.Clock // by deployable; nil is the real one
	carrier []string               // what says it to a victim

	brokerAt, prefix string // of Kafka; brokerAt is empty where the events go by PostgreSQL
	foreigners       int    // records of others that the ledger must make dead letters of
	deleted          bool   // records of the door were
	drop             func() // what was made on a real server
}

func newAcross(r *run) (*across, error) {
	n, err := newNetwork()
	if err != nil {
		return nil, err
	}
	a := &across{run: r, owners: map[string]*owner{}, network: n, clocks: map[string]*disk.Clock{}, drop: func() {}}
	for _, name := range story.Deployables {
		a.clocks[name] = r.steppedClock()
	}
	r.clock = nil // the broker has the right one
	server := os.Getenv(story.Servers[r.schedule.Kind])
	switch {
	case r.schedule.Kind == story.OverBroker:
		at, err := freeAddress()
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
		at, drop, err := freshDatabase(r.ctx, server)
		if err != nil {
			return nil, err
		}
		a.carrier, a.drop = []string{"--database", at}, drop
	}
	if a.brokerAt != "" {
		a.carrier = []string{"--brokers", a.brokerAt, "--prefix", a.prefix}
	}
	a.carrier = append(a.carrier, "--through", n.address())
	return a, nil
}

// freeAddress returns an address without a listener. Its port is below those that operating systems give away, so the
// address stays free while a process that listens at it is away.
func freeAddress() (string, error) {
	const lowest, ports, tries = 20_000, 12_000, 100
	var err error
	for range tries {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowest+mathrand.IntN(ports))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

// freshDatabase makes a database on the server at, and returns its URL and what drops it again.
func freshDatabase(ctx context.Context, at string) (string, func(), error) {
	u, err := url.Parse(at)
	if err != nil {
		return "", nil, err
	}
	db, err := sql.Open("pgx", at)
	if err != nil {
		return "", nil, err
	}
	name := "torture_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, errors.Join(err, db.Close())
	}
	u.Path = "/" + name
	return u.String(), func() {
		_, _ = db.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)") // it is a leftover at worst
		_ = db.Close()
	}, nil
}

func (a *across) journal(name string) string { return filepath.Join(filepath.Dir(a.path), name+".db") }

// play carries out the steps, and judges what is left.
func (a *across) play() {
	defer a.endAll()
	a.path = a.journal(story.Door) // what is published there is what the model knows
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
	a.network.close()
	for _, o := range a.owners {
		_ = o.cmd.Process.Kill()
		<-o.ended
	}
	a.owner = nil
	if a.broker != nil {
		a.endProcess(story.Broker, a.broker, syscall.SIGKILL)
	}
	a.drop()
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
		a.serve(s.Key)
	case story.Stop:
		a.stop(s.Key)
	case story.Kill:
		if o != nil {
			o.kill()
			a.forget(s.Key)
		}
	case story.Freeze:
		if o != nil {
			o.freeze(millis(s.For))
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
	case a.port == "" && s.Do == story.Start: // a real server goes on; nobody reaches it
		a.network.set("")
	case a.port == "" && s.Do == story.Freeze:
		a.changeNetwork(story.Step{Mood: story.Held, For: s.For})
	case a.port == "":
		a.network.set(story.Refusing)
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

// serve starts a deployable, unless it lives.
func (a *across) serve(name string, more ...string) {
	if o := a.owners[name]; o != nil && o.alive() {
		return
	}
	args := append(append([]string{"--modules", modulesOf[name]}, a.carrier...), more...)
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
	if !o.stop() {
		a.find("stop", "%s did not end within %v of SIGTERM", name, stopLimit)
	}
	a.forget(name)
}

// changeNetwork lets the network fail for a while.
func (a *across) changeNetwork(s story.Step) {
	a.network.set(s.Mood)
	a.beside.Go(func() {
		pause.For(a.ctx, millis(s.For))
		a.network.set("")
	})
}

// command runs troupe on one of the journals. What it says is not held against the model: it must end, in order.
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
