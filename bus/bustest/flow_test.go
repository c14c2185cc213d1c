package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// The tea room: the counter takes orders, the kitchen brews cup by cup, the till takes the money of those who have some.
type (
	tea struct {
		Kind  string `json:"kind"`
		Grams int    `json:"grams"`
	}
	ordered struct {
		ID    string    `json:"id"`
		Cups  int       `json:"cups"`
		Tea   tea       `json:"tea"`
		Notes []string  `json:"notes"`
		Money *int      `json:"money"`
		At    time.Time `json:"at"`
	}
	brewed struct {
		ID  string `json:"id"`
		Cup int    `json:"cup"`
	}
	charged struct {
		ID string `json:"id"`
	}
	cleaned struct {
		ID string `json:"id"`
	}
)

func (ordered) EventType() string   { return "counter.ordered" }
func (e ordered) EventKey() string  { return e.ID }
func (brewed) EventType() string    { return "kitchen.brewed" }
func (e brewed) EventKey() string   { return e.ID }
func (charged) EventType() string   { return "till.charged" }
func (e charged) EventKey() string  { return e.ID }
func (cleaned) EventType() string   { return "kitchen.cleaned" }
func (e *cleaned) EventKey() string { return e.ID }

// tearoom is what the tests talk to.
type tearoom struct{ counter *bus.Module }

func (r tearoom) order(ctx context.Context, e ordered) error {
	_, err := r.counter.Publish(bus.Correlate(ctx, e.ID), e)
	return err
}

func openTearoom(b *bus.Bus, _ *bustest.World) tearoom {
	r := tearoom{b.Module("counter").Emits(ordered{})}
	kitchen := b.Module("kitchen").ForOutside(&cleaned{})
	bus.On(kitchen, "brew", func(_ context.Context, e ordered) (bus.Events, error) {
		var out []bus.Event
		for cup := range e.Cups {
			out = append(out, brewed{e.ID, cup + 1})
		}
		return bus.Emit(append(out, bus.After(time.Hour, &cleaned{e.ID}))...), nil
	}).Emits(brewed{}, &cleaned{})
	bus.On(kitchen, "bake", func(context.Context, ordered) (bus.Events, error) { return nil, nil }).
		When(func(e ordered) bool { return e.Tea.Kind == "high" })
	till := b.Module("till")
	bus.On(till, "charge", func(_ context.Context, e brewed) (bus.Events, error) {
		if strings.Contains(e.ID, "broke") {
			return nil, bus.Dead(errors.New("no money"))
		}
		return bus.Emit(charged{e.ID}), nil
	}).Emits(charged{}).When(func(e brewed) bool { return e.Cup == 1 })
	bus.On(r.counter, "thank", func(context.Context, charged) (bus.Events, error) { return nil, nil })
	return r
}

func tearoomSystem() bustest.System[tearoom] {
	return bustest.System[tearoom]{Open: sqlitetest.Open, Wire: openTearoom}
}

var (
	money  = 0
	noon   = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	assam2 = ordered{ID: "tea-1", Cups: 2, Tea: tea{"assam", 5}, Notes: []string{"hot"}, Money: &money, At: noon}
)

// orderTea has one order come through.
func orderTea(app *bustest.App[tearoom], e ordered) {
	app.Must("order "+e.ID, func(ctx context.Context, r tearoom) error { return r.order(ctx, e) })
	app.Quiet()
}

// listener takes a test's failures without failing it.
type listener struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func (l *listener) Helper() {}

func (l *listener) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, fmt.Sprintf(format, args...))
}

func (l *listener) Logf(format string, args ...any) { l.Errorf("log: "+format, args...) }

func (l *listener) Fatalf(format string, args ...any) {
	l.Errorf("fatal: "+format, args...)
	runtime.Goexit()
}

// listen returns what fn says when it has a test of its own.
func listen(t *testing.T, fn func(tb testing.TB)) string {
	l := &listener{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fn(l)
	}()
	<-ended
	return strings.Join(l.said, "\n")
}

func TestFlow(t *testing.T) {
	t.Parallel()
	bustest.Run(t, tearoomSystem(), func(app *bustest.App[tearoom]) {
		orderTea(app, assam2)
		app.Flow("tea-1").
			AtLeast().
			AtLeast(brewed{Cup: 2}, ordered{}).
			AtLeast(ordered{Tea: tea{"assam", 5}, Notes: []string{"hot"}, Money: &money, At: noon}).
			AtLeast(brewed{}, brewed{Cup: 1}). // the first would take what the second needs
			Exactly(charged{}, brewed{}, brewed{}, ordered{ID: "tea-1"}).
			InOrder(ordered{}, brewed{Cup: 1}, brewed{Cup: 2}, &charged{}).
			InOrder(ordered{}, charged{}).
			Causes(ordered{}, brewed{}, charged{ID: "tea-1"}). // the second cup leads to nothing
			Never(&cleaned{}, brewed{Cup: 3}, ordered{Cups: 2, Notes: []string{}}).
			Outcome("kitchen/brew", journal.Done).
			Outcome("kitchen/bake", journal.Skipped)
		app.Advance(time.Hour)
		app.Flow("tea-1").AtLeast(&cleaned{ID: "tea-1"}).Causes(ordered{}, &cleaned{})
		if n := len(app.Flow("tea-1").Events()); n != 5 {
			t.Errorf("%d events, want 5", n)
		}
	})
}

// shown is what depends on the clock.
var shown = regexp.MustCompile(` in \S+ from .*Z|done in \S+|\+\S+s`)

func TestFlowIsNotAsWanted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		check func(f *bustest.Flow)
		want  string
	}{
		{"missing", func(f *bustest.Flow) {
			f.AtLeast(brewed{}, brewed{}, brewed{}, charged{ID: "x"}, &cleaned{})
		}, `
flow tea-1: AtLeast finds 3 events missing
- kitchen.brewed  (once more: all 2 matching events are for other wanted events)
- till.charged {"id":"x"}
- kitchen.cleaned

  flow tea-1: 4 events…: 3 done, 2 skipped
  counter.ordered  tea-1  …
  ├─ kitchen/bake  skipped
  └─ kitchen/brew  …
     ├─ kitchen.brewed  tea-1  …
     │  └─ till/charge  …
~    │     └─ till.charged  tea-1  …   <-- id is "tea-1", not "x"
     │        └─ counter/thank  …
     └─ kitchen.brewed  tea-1  …
        └─ till/charge  skipped
`},
		{"missing and too much", func(f *bustest.Flow) {
			f.Exactly(ordered{Cups: 3, Tea: tea{Kind: "assam"}}, brewed{}, charged{})
		}, `
flow tea-1: Exactly finds 1 event missing, and 2 events too much
- counter.ordered {"cups":3,"tea":{"grams":0,"kind":"assam"}}
+ counter.ordered {"at":"2026-01-02T12:00:00Z","cups":2,"id":"tea-1","money":0,"notes":["hot"],"tea":{"grams":5,"kind":"assam"}}
+ kitchen.brewed {"cup":2,"id":"tea-1"}

  flow tea-1: 4 events…: 3 done, 2 skipped
+ counter.ordered  tea-1  …   <-- too much, or almost what is missing: cups is 2, not 3, tea is {"grams":5,"kind":"assam"}, not {"grams":0,"kind":"assam"}
  ├─ kitchen/bake  skipped
  └─ kitchen/brew  …
     ├─ kitchen.brewed  tea-1  …
     │  └─ till/charge  …
     │     └─ till.charged  tea-1  …
     │        └─ counter/thank  …
+    └─ kitchen.brewed  tea-1  …   <-- too much
        └─ till/charge  skipped
`},
		{"one too many", func(f *bustest.Flow) { f.Exactly(ordered{}, brewed{}, charged{}) }, `
flow tea-1: Exactly finds 1 event too much
+ kitchen.brewed {"cup":2,"id":"tea-1"}

  flow tea-1: 4 events…: 3 done, 2 skipped
  counter.ordered  tea-1  …
  ├─ kitchen/bake  skipped
  └─ kitchen/brew  …
     ├─ kitchen.brewed  tea-1  …
     │  └─ till/charge  …
     │     └─ till.charged  tea-1  …
     │        └─ counter/thank  …
+    └─ kitchen.brewed  tea-1  …   <-- too much
        └─ till/charge  skipped
`},
		{"too early", func(f *bustest.Flow) { f.InOrder(brewed{Cup: 2}, brewed{Cup: 1}, charged{}) }, `
flow tea-1: InOrder finds number 2 of 3 missing
- kitchen.brewed {"cup":1}  (after kitchen.brewed {"cup":2})

  flow tea-1: 4 events…: 3 done, 2 skipped
  counter.ordered  tea-1  …
  ├─ kitchen/bake  skipped
  └─ kitchen/brew  …
!    ├─ kitchen.brewed  tea-1  …   <-- too early
     │  └─ till/charge  …
     │     └─ till.charged  tea-1  …
     │        └─ counter/thank  …
=    └─ kitchen.brewed  tea-1  …   <-- number 1
        └─ till/charge  skipped
`},
		{"another cause", func(f *bustest.Flow) { f.Causes(ordered{}, brewed{Cup: 2}, charged{}) }, `
flow tea-1: Causes finds number 3 of 3 missing
- till.charged  (caused by kitchen.brewed {"cup":2})

  flow tea-1: 4 events…: 3 done, 2 skipped
= counter.ordered  tea-1  …   <-- number 1
  ├─ kitchen/bake  skipped
  └─ kitchen/brew  …
     ├─ kitchen.brewed  tea-1  …
     │  └─ till/charge  …
!    │     └─ till.charged  tea-1  …   <-- caused by another kitchen.brewed
     │        └─ counter/thank  …
=    └─ kitchen.brewed  tea-1  …   <-- number 2
        └─ till/charge  skipped
`},
		{"no cause", func(f *bustest.Flow) { f.Causes(brewed{Cup: 2}, ordered{}) }, `
flow tea-1: Causes finds number 2 of 2 missing
- counter.ordered  (caused by kitchen.brewed {"cup":2})

  flow tea-1: 4 events…: 3 done, 2 skipped
! counter.ordered  tea-1  …   <-- a beginning, without a cause
  ├─ kitchen/bake  skipped
  └─ kitchen/brew  …
     ├─ kitchen.brewed  tea-1  …
     │  └─ till/charge  …
     │     └─ till.charged  tea-1  …
     │        └─ counter/thank  …
=    └─ kitchen.brewed  tea-1  …   <-- number 1
        └─ till/charge  skipped
`},
		{"what must not be", func(f *bustest.Flow) { f.Never(ordered{ID: "x"}, brewed{}, brewed{Cup: 1}) }, `
flow tea-1: Never finds 2 events
+ kitchen.brewed {"cup":1,"id":"tea-1"}
+ kitchen.brewed {"cup":2,"id":"tea-1"}

  flow tea-1: 4 events…: 3 done, 2 skipped
  counter.ordered  tea-1  …
  ├─ kitchen/bake  skipped
  └─ kitchen/brew  …
+    ├─ kitchen.brewed  tea-1  …   <-- too much
     │  └─ till/charge  …
     │     └─ till.charged  tea-1  …
     │        └─ counter/thank  …
+    └─ kitchen.brewed  tea-1  …   <-- too much
        └─ till/charge  skipped
`},
		{"another outcome", func(f *bustest.Flow) { f.Outcome("till/charge", journal.Done) }, `
flow tea-1: Outcome finds 1 of 2 reactions of till/charge not done

  flow tea-1: 4 events…: 3 done, 2 skipped
  counter.ordered  tea-1  …
  ├─ kitchen/bake  skipped
  └─ kitchen/brew  …
     ├─ kitchen.brewed  tea-1  …
     │  └─ till/charge  …
     │     └─ till.charged  tea-1  …
     │        └─ counter/thank  …
     └─ kitchen.brewed  tea-1  …
!       └─ till/charge  skipped   <-- not done
`},
	}
	var flow *journal.Flow
	bustest.Run(t, tearoomSystem(), func(app *bustest.App[tearoom]) {
		orderTea(app, assam2)
		flow = &journal.Flow{ID: "tea-1", Events: app.Flow("tea-1").Events()}
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := listen(t, func(tb testing.TB) { tt.check(bustest.FlowOf(tb, flow)) })
			if got = shown.ReplaceAllString(got, "…"); strings.TrimSpace(got) != strings.TrimSpace(tt.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestFlowSaysWhatItIsAbout(t *testing.T) {
	t.Parallel()
	flow := &journal.Flow{ID: "f", Events: []journal.FlowEvent{
		{EventRecord: journal.EventRecord{ID: "1", Type: "counter.ordered", Version: 2, Data: []byte(`{"id":"a"}`)}},
		{EventRecord: journal.EventRecord{ID: "2", Type: "till.charged", Version: 1, DataBase64: []byte{0xff}, CausationID: "elsewhere"}},
	}, Delayed: []journal.DelayedEvent{{ID: "3", Type: "kitchen.cleaned"}}}
	tests := []struct {
		name  string
		check func(f *bustest.Flow)
		want  string
	}{
		{"another version", func(f *bustest.Flow) { f.AtLeast(ordered{}) }, "<-- version is 2, not 1"},
		{"no such field", func(f *bustest.Flow) { f.AtLeast(charged{"a"}) }, "<-- id is missing"},
		{"what is not JSON has a type", func(f *bustest.Flow) { f.AtLeast(charged{}) }, ""},
		{"to come", func(f *bustest.Flow) { f.InOrder(&cleaned{}) }, "- kitchen.cleaned  (an event of this type is delayed)"},
		{"another flow", func(f *bustest.Flow) { f.Causes(ordered{}, charged{}) }, "number 1 of 2 missing"},
		{"the cause is elsewhere", func(f *bustest.Flow) { f.Causes(&cleaned{}, charged{}) }, "number 1 of 2 missing"},
		{"no such reaction", func(f *bustest.Flow) { f.Outcome("till/refund", journal.Done) }, "Outcome finds no reaction of till/refund\n- till/refund  done"},
		{"nil", func(f *bustest.Flow) { f.AtLeast(charged{}, nil) }, "fatal: bustest: wanted event 2: it is nil"},
		{"all are told", func(f *bustest.Flow) { f.Never(charged{}).AtLeast(brewed{}) }, "AtLeast finds 1 event missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := listen(t, func(tb testing.TB) { tt.check(bustest.FlowOf(tb, flow)) })
			if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got\n%s\nwant in it\n%s", got, tt.want)
			}
		})
	}
}

func TestNoSuchFlow(t *testing.T) {
	t.Parallel()
	found := bustest.Search(t, tearoomSystem(), bustest.Exploration{Schedules: 1}, func(app *bustest.App[tearoom]) {
		orderTea(app, assam2)
		app.Flow("tea-2")
	})
	if got := strings.Join(found.Wrong, "\n"); got != `there is no flow "tea-2"; there are 1: "tea-1"` {
		t.Errorf("got %s", got)
	}
}

// What is wanted holds, or does not, under every schedule.
func TestFlowOfASearch(t *testing.T) {
	t.Parallel()
	found := bustest.Search(t, tearoomSystem(), bustest.Exploration{Schedules: 20}, func(app *bustest.App[tearoom]) {
		orderTea(app, assam2)
		app.Flow("tea-1").AtLeast(ordered{}, charged{}).Causes(ordered{}, brewed{}, charged{}).Never(brewed{Cup: 3})
	})
	if len(found.Wrong) > 0 {
		t.Error(found)
	}
}
