package bustest_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
)

func two(app *bustest.App[desk]) {
	ask(app, "a", "b")
	app.Quiet()
	ask(app, "a")
}

func TestExploreTheRightSystem(t *testing.T) {
	t.Parallel()
	bustest.Explore(t, tickets(tweak{}), bustest.Exploration{Schedules: 100}, two)
}

// counts is a seat plan in the memory of the process.
func counts() tweak {
	return tweak{seats: remembers(func(ctx context.Context, e asked, seat int) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO seats_taken (seat, id) VALUES (?, ?) ON CONFLICT (seat) DO UPDATE SET id = excluded.id", seat, e.ID)
		return bus.Emit(booked{ID: e.ID}), err
	})}
}

// unkeyed charges with a key of its own at each attempt.
func unkeyed() tweak {
	return tweak{key: func(ctx context.Context) string { return fmt.Sprint(bus.Delivery(ctx).ID, bus.Delivery(ctx).Attempt) }}
}

// The same seed finds the same story, byte for byte, and its replay breaks the same.
func TestSeedAndReplay(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]bustest.Exploration{
		"random":     {Seed: 7, Without: bustest.Keys},
		"exhaustive": {Exhaustive: true, Without: bustest.Keys},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sys := tickets(unkeyed())
			first, second := bustest.Search(t, sys, x, two), bustest.Search(t, sys, x, two)
			if len(first.Wrong) == 0 || len(first.Story) > 3 || name == "exhaustive" && len(first.Story) != 1 {
				t.Fatalf("found %+v", first)
			}
			if !reflect.DeepEqual(first, second) {
				t.Errorf("the same seed came to\n%v\nand to\n%v", first, second)
			}
			x.Replay = first.Replay
			again := bustest.Search(t, sys, x, two)
			if !reflect.DeepEqual(again.Wrong, first.Wrong) || !reflect.DeepEqual(again.Story, first.Story) || again.Trees != first.Trees {
				t.Errorf("replay: %v, want %v", again, first)
			}
		})
	}
}

// What people read is kept as a file, which docs/testing.md shows.
func TestStory(t *testing.T) {
	t.Parallel()
	x := bustest.Exploration{Exhaustive: true, Without: bustest.Keys | bustest.Pauses}
	f := bustest.Search(t, tickets(unkeyed()), x, func(app *bustest.App[desk]) { ask(app, "a") })
	got, _, _ := strings.Cut(f.String(), "\n\n")
	const file = "testdata/story.txt"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got+"\n" {
		t.Errorf("the story is\n%s\nwant\n%s: %v (go test -update writes it)", got, want, err)
	}
}

// An exhaustive exploration ends by itself, and sees what chance sees.
func TestExhaustive(t *testing.T) {
	t.Parallel()
	one := func(app *bustest.App[desk]) { ask(app, "a") }
	f := bustest.Search(t, tickets(tweak{}), bustest.Exploration{Exhaustive: true, Schedules: 5000}, one)
	if len(f.Wrong) > 0 || f.Schedules >= 5000 || f.Different < 20 {
		t.Errorf("%d schedules, %d different: %v", f.Schedules, f.Different, f.Wrong)
	}
	t.Logf("%d schedules, %d different", f.Schedules, f.Different)
	f = bustest.Search(t, tickets(counts()), bustest.Exploration{Exhaustive: true, Without: bustest.Again}, two)
	if len(f.Wrong) == 0 || len(f.Story) != 1 {
		t.Errorf("a seat plan in memory: %v", f)
	}
}

func TestWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	endless := tickets(tweak{})
	wire := endless.Wire
	endless.Wire = func(b *bus.Bus, w *bustest.World) desk {
		d := wire(b, w)
		loop := b.Module("loop")
		bus.On(loop, "again", func(_ context.Context, e reminded2) (bus.Events, error) { return bus.Emit(e), nil }).Emits(reminded2{})
		bus.On(loop, "begin", func(_ context.Context, e asked) (bus.Events, error) { return bus.Emit(reminded2(e)), nil }).Emits(reminded2{})
		return d
	}
	endless.Config.MaxHops = 1 << 20
	f := bustest.Search(t, endless, bustest.Exploration{Schedules: 1}, func(app *bustest.App[desk]) { ask(app, "a") })
	if len(f.Wrong) == 0 || !strings.Contains(f.Wrong[0], "does not end") {
		t.Errorf("found %v", f.Wrong)
	}
}

type reminded2 struct {
	ID string `json:"id"`
}

func (reminded2) EventType() string  { return "loop.again" }
func (e reminded2) EventKey() string { return e.ID }

// A final state that depends on who comes first is a failure where the scenario says that it must not.
func TestSame(t *testing.T) {
	t.Parallel()
	x := bustest.Exploration{Same: func(ctx context.Context, tables func(module string) bus.SQL) (s string, err error) {
		err = tables("seats").QueryRowContext(ctx, "SELECT group_concat(id, ' ') FROM (SELECT id FROM seats_taken ORDER BY seat)").Scan(&s)
		return s, err
	}}
	f := bustest.Search(t, tickets(tweak{}), x, two)
	if len(f.Wrong) != 1 || !strings.Contains(f.Wrong[0], "depends on the schedule") || len(f.Story) != 1 {
		t.Errorf("found %v", f)
	}
}

func TestMemoryOfTheProcess(t *testing.T) {
	t.Parallel()
	f := bustest.Search(t, tickets(counts()), bustest.Exploration{Without: bustest.Again}, two)
	if len(f.Wrong) == 0 || len(f.Story) > 2 || !strings.Contains(strings.Join(f.Story, " "), "crash") {
		t.Errorf("found %v", f)
	}
}
