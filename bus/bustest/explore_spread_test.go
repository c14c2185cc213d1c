package bustest_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/wire"
)

// spread is the system of tickets in three deployables.
func spread(tw tweak) bustest.System[desk] {
	sys := tickets(tw)
	sys.Deployables = [][]string{{"desk"}, {"seats"}, {"bank"}}
	sys.Join = func(at func(string) desk) desk { return at("desk") }
	return sys
}

// stops is a scenario in which processes stop and die, too.
func stops(app *bustest.App[desk]) {
	ask(app, "a")
	app.Restart()
	ask(app, "b")
	app.Crash()
	ask(app, "c")
	app.Quiet()
	if n := len(app.World().Service("card").Done("charge")); n != 3 {
		app.T().Errorf("quiet after %d charges, want 3", n)
	}
	app.Flow("b").Causes(asked{ID: "b"}, booked{}, paid{})
}

func TestExploreSeveralDeployables(t *testing.T) {
	t.Parallel()
	for _, scenario := range []func(app *bustest.App[desk]){two, stops} {
		bustest.Explore(t, spread(tweak{}), bustest.Exploration{Schedules: 100}, scenario)
	}
}

// An exploration of several deployables is as deterministic as that of one, on one processor and on many.
func TestSeedAndReplayOfSeveralDeployables(t *testing.T) { // not parallel: it sets GOMAXPROCS
	for name, x := range map[string]bustest.Exploration{
		"random":     {Seed: 7, Faults: 1, Without: bustest.Keys},
		"exhaustive": {Exhaustive: true, Without: bustest.Keys},
	} {
		sys, both := spread(unkeyed()), func(app *bustest.App[desk]) { ask(app, "a", "b") }
		first := bustest.Search(t, sys, x, both)
		procs := runtime.GOMAXPROCS(1)
		second := bustest.Search(t, sys, x, both)
		runtime.GOMAXPROCS(procs)
		if len(first.Wrong) == 0 || len(first.Story) > 3 {
			t.Fatalf("%s: found %+v", name, first)
		}
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%s: the same seed came to\n%v\nand to\n%v", name, first, second)
		}
		x.Replay = first.Replay
		again := bustest.Search(t, sys, x, both)
		if !reflect.DeepEqual(again.Wrong, first.Wrong) || !reflect.DeepEqual(again.Story, first.Story) || again.Trees != first.Trees {
			t.Errorf("%s: replay: %v, want %v", name, again, first)
		}
	}
}

// A relay that was refused tries again after a pause, which is the same in every run.
func TestThePauseOfARelay(t *testing.T) {
	t.Parallel()
	sys := follows(true)
	sys.Verify = func(context.Context, func(module string) bus.SQL, *bustest.World) (wrong []string, err error) {
		if d := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Truncate(time.Microsecond); d > 0 { // a bubble begins then
			wrong = append(wrong, fmt.Sprintf("it took %v", d))
		}
		return wrong, nil
	}
	search := func() bustest.Found {
		return bustest.Search(t, sys, bustest.Exploration{Exhaustive: true, Without: bustest.Pauses}, func(app *bustest.App[desk]) {
			app.Must("count", func(ctx context.Context, d desk) error {
				_, err := d.m.Publish(ctx, counted{"a", 1}) // in a flow without a name
				return err
			})
		})
	}
	first := search()
	if want := "desk sends desk.counted a: the broker refuses it"; !slices.Equal(first.Story, []string{want}) {
		t.Errorf("found %v, want %q", first, want)
	}
	if second := search(); !reflect.DeepEqual(first, second) {
		t.Errorf("once more it came to\n%v\nafter\n%v", second, first)
	}
}

// counted is something that the desk has counted.
type counted struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

func (counted) EventType() string  { return "desk.counted" }
func (e counted) EventKey() string { return e.Key }

// follows is a clerk who wants what was counted in its order: of each key, or of all of them.
func follows(ofEach bool) bustest.System[desk] {
	sys := tickets(tweak{})
	sys.Deployables, sys.Verify = [][]string{{"desk"}, {"clerk"}}, nil
	sys.Join = func(at func(string) desk) desk { return at("desk") }
	sys.Wire = func(b *bus.Bus, _ *bustest.World) desk {
		clerk := b.Module("clerk").Migrations(tables("clerk", "CREATE TABLE %s_seen (key TEXT, n INTEGER)"))
		bus.On(clerk, "follow", func(ctx context.Context, e counted) (bus.Events, error) {
			var last int
			err := bus.Tx(ctx).QueryRowContext(ctx, "SELECT coalesce(max(n), 0) FROM clerk_seen WHERE key = ? OR NOT ?", e.Key, ofEach).Scan(&last)
			if err == nil && e.N < last {
				err = bus.Dead(fmt.Errorf("%d comes after %d", e.N, last))
			}
			if err == nil {
				_, err = bus.Tx(ctx).ExecContext(ctx, "INSERT INTO clerk_seen VALUES (?, ?)", e.Key, e.N)
			}
			return nil, err
		})
		return desk{b.Module("desk").Emits(counted{}).Migrations(tables("desk", "CREATE TABLE %s_counted (n INTEGER PRIMARY KEY)"))}
	}
	return sys
}

// A topic keeps the order of each key, whoever dies and whatever comes twice, and no other.
func TestTheOrderBetweenDeployables(t *testing.T) {
	t.Parallel()
	scenario := func(app *bustest.App[desk]) {
		for i, key := range []string{"a", "a", "b", "a"} {
			app.Must("count", func(ctx context.Context, d desk) error {
				_, err := d.m.Do(ctx, func(ctx context.Context) (bus.Events, error) {
					res, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO desk_counted VALUES (?) ON CONFLICT DO NOTHING", i)
					if err != nil {
						return nil, err
					}
					if n, err := res.RowsAffected(); err != nil || n == 0 {
						return nil, err // a client who asks again
					}
					return bus.Emit(counted{key, i + 1}), nil
				})
				return err
			})
		}
	}
	bustest.Explore(t, follows(true), bustest.Exploration{}, scenario)
	for _, x := range []bustest.Exploration{{}, {Exhaustive: true, Faults: -1}} {
		wantFound(t, bustest.Search(t, follows(false), x, scenario), "clerk/follow of desk.counted")
	}
}

// Every row of the table of crashes is visited: by chance, and one after the other by an exhaustive exploration, which ends.
func TestEachCrashBetweenDeployablesIsVisited(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]bustest.Exploration{"random": {}, "exhaustive": {Exhaustive: true, Schedules: 2000, Without: bustest.Again}} {
		var n bustest.Traffic
		f := bustest.Search(t, bustest.Watch(spread(tweak{}), &n), x, func(app *bustest.App[desk]) { ask(app, "a") })
		if len(f.Wrong) > 0 || n.SentLate == 0 || n.SentAgain == 0 || n.TakenAgain == 0 {
			t.Errorf("%s: %v: sent late %d, sent again %d, taken again %d, want some of each", name, f, n.SentLate, n.SentAgain, n.TakenAgain)
		}
		t.Logf("%s: %d schedules: %d sent, %d late, %d again; %d taken, %d again", name, f.Schedules, n.Sent, n.SentLate, n.SentAgain, n.Taken, n.TakenAgain)
	}
}

// lossy says that it has a message, and sends it a moment later. Close waits for that; nobody waits when a process dies.
type lossy struct {
	bus.Transport
	sending *sync.WaitGroup
}

// Publish implements message.Publisher.
func (l lossy) Publish(topic string, messages ...*message.Message) error {
	l.sending.Go(func() {
		<-time.After(time.Second)                   // virtual time
		_ = l.Transport.Publish(topic, messages...) // planted: nobody hears what it says
	})
	return nil
}

// Close implements message.Publisher.
func (l lossy) Close() error {
	l.sending.Wait()
	return l.Transport.Close()
}

// hasty acknowledges what nobody has written down yet.
type hasty struct{ bus.Transport }

// Subscribe implements message.Subscriber.
func (h hasty) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return bustest.Through(h.Transport, ctx, topic, func(msg *message.Message) *message.Message {
		again := msg.Copy()
		again.SetContext(msg.Context())
		msg.Ack() // planted
		return again
	})
}

// renaming makes up an id for an event that was sent twice.
type renaming struct {
	bus.Transport
	places *sync.Map // by id
}

// Subscribe implements message.Subscriber.
func (r renaming) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return bustest.Through(r.Transport, ctx, topic, func(msg *message.Message) *message.Message {
		place := msg.Metadata[wire.MetaPosition]
		if first, known := r.places.LoadOrStore(msg.Metadata["ce_id"], place); known && first != place {
			msg.Metadata["ce_id"] += "-again" // planted
		}
		return msg
	})
}

// What a transport must not do is found, with the crash that it takes.
func TestTransportsThatAreWrong(t *testing.T) {
	t.Parallel()
	var places sync.Map // by run
	for name, c := range map[string]struct {
		wrap         func(run any, inner bus.Transport) bus.Transport
		wrong, crash string
	}{
		"lossy": {func(_ any, inner bus.Transport) bus.Transport { return lossy{inner, &sync.WaitGroup{}} }, "has not arrived at", "crashes"},
		"hasty": {func(_ any, inner bus.Transport) bus.Transport { return hasty{inner} }, "has not arrived at", "crashes before the commit"},
		"renaming": {func(run any, inner bus.Transport) bus.Transport {
			of, _ := places.LoadOrStore(run, &sync.Map{})
			return renaming{inner, of.(*sync.Map)}
		}, "2 seats", "desk sends desk.asked"},
	} {
		f := bustest.Search(t, bustest.Between(spread(tweak{}), c.wrap), bustest.Exploration{}, two)
		if !strings.Contains(strings.Join(f.Wrong, "\n"), c.wrong) || len(f.Story) > 2 || !strings.Contains(strings.Join(f.Story, "\n"), c.crash) {
			t.Errorf("%s: found %v, want %q", name, f, c.wrong)
		}
		t.Logf("%s: %v", name, f)
	}
}
