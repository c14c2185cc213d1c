package cli_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// kitchen is a diner that is one process at first, and two deployables with an observer later.
type kitchen struct {
	testing.TB
	broker *wiretest.Broker // nil in one process
	closed atomic.Bool      // what was late is not cooked any more
}

func (k *kitchen) wire(b *bus.Bus) (waiter *bus.Module) {
	waiter = b.Module("waiter").Emits(dinerOrdered{})
	bus.On(waiter, "serve", func(context.Context, dinerCooked) (bus.Events, error) { return nil, nil })
	bus.On(b.Module("cook"), "cook", func(_ context.Context, e dinerOrdered) (bus.Events, error) {
		switch {
		case e.Dish == "spoiled" || e.Dish == "late" && k.closed.Load():
			return nil, bus.Dead(errors.New("not cooked"))
		case e.Dish == "late":
			return nil, bus.RetryAfter(50*time.Millisecond, errors.New("not yet"))
		}
		return bus.Emit(dinerCooked(e)), nil
	}).Emits(dinerCooked{})
	return waiter
}

// run runs modules on the journal at path, and orders dishes, each in the flow of its name. stop must be called.
func (k *kitchen) run(path string, modules []string, dishes ...string) (j *sqlite.Journal, stop func()) {
	k.Helper()
	quiet := slog.New(slog.DiscardHandler)
	j, err := sqlite.Open(k.Context(), path, sqlite.Config{Synchronous: "off", Logger: quiet})
	if err != nil {
		k.Fatal(err)
	}
	c := bus.Config{Logger: quiet, Modules: modules, Retry: bus.Retry{Attempts: 10_000}}
	if k.broker != nil {
		c.Transport = k.broker.Transport(j.ID())
	}
	b := bus.New(j, c)
	waiter := k.wire(b)
	ctx, cancel := context.WithCancel(k.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	<-b.Running()
	for _, dish := range dishes {
		if _, err := waiter.Publish(bus.Correlate(k.Context(), dish), dinerOrdered{Table: dish, Dish: dish}); err != nil {
			k.Error(err)
		}
	}
	return j, func() {
		cancel()
		err := <-ended
		if c.Transport != nil {
			err = errors.Join(err, c.Transport.Close())
		}
		if err := errors.Join(err, j.Close()); err != nil {
			k.Error(err)
		}
	}
}

// mustBecome waits until the flows in the journal that r reads have the reactions of want.
func (k *kitchen) mustBecome(r *sqlite.Reader, want map[string]string) {
	k.Helper()
	end := time.Now().Add(20 * time.Second)
	for flow, want := range want {
		for got := ""; got != want; <-time.After(10 * time.Millisecond) {
			flows, err := r.Flow(k.Context(), flow)
			var all []string
			for _, f := range flows {
				for _, e := range f.Events {
					for _, did := range e.Reactions {
						all = append(all, did.Subscription+" "+string(did.Outcome))
					}
				}
			}
			got = strings.Join(slices.Sorted(slices.Values(all)), "; ")
			if got != want && time.Now().After(end) {
				k.Fatalf("flow %s is %q, %v, want %q", flow, got, err, want)
			}
		}
	}
}

// TestObserverSeesWhatWasOpenBeforeASplit splits a diner with a dead letter and a reaction that dies after the split.
// The observer sees the flows of both, and after a resend the flows that had ended before, too.
func TestObserverSeesWhatWasOpenBeforeASplit(t *testing.T) {
	t.Parallel()
	k := &kitchen{TB: t}
	dir := t.TempDir()
	one, apart := filepath.Join(dir, "diner.db"), filepath.Join(dir, "cook.db")
	j, stop := k.run(one, nil, "soup")
	const served, dead, late = "cook/cook done; waiter/serve done", "cook/cook dead", "cook/cook retrying"
	k.mustBecome(j.Reader(), map[string]string{"soup": served})
	stop()
	j, stop = k.run(one, nil, "spoiled", "late", "stew")
	k.mustBecome(j.Reader(), map[string]string{"spoiled": dead, "late": late, "stew": served})
	stop()
	o := move.Options{Journal: one, Other: apart, Modules: []string{"cook"}, NoBackup: true}
	if _, err := move.Split(t.Context(), o); err != nil {
		t.Fatal(err)
	}

	k.closed.Store(true)
	k.broker = wiretest.NewBroker()
	b := bus.New(nil, bus.Config{})
	k.wire(b)
	ob, err := cli.ObserveInto(t.Context(), b.Wiring(), filepath.Join(dir, "observer.db"),
		func(group string, _ *slog.Logger) (bus.Transport, error) { return k.broker.Transport(group), nil },
		sqlite.Config{Synchronous: "off", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); ob.Run(ctx) }()
	defer func() { cancel(); <-ended; _ = ob.Close() }()
	both := func(look func()) {
		_, stopWaiter := k.run(one, []string{"waiter"})
		_, stopCook := k.run(apart, []string{"cook"})
		look()
		stopCook()
		stopWaiter()
	}
	r := ob.Journal.Reader()
	both(func() { k.mustBecome(r, map[string]string{"spoiled": dead, "late": dead, "stew": served}) })
	if letters, err := r.DeadLetters(t.Context(), sqlite.DeadLetterFilter{}); err != nil || len(letters) != 2 {
		t.Errorf("the observer has %d dead letters, %v, want 2", len(letters), err)
	}
	if _, err := r.Flow(t.Context(), "soup"); err == nil {
		t.Error("the observer has a flow that had ended before the split")
	}
	for _, path := range []string{one, apart} {
		if _, err := sqlite.Resend(t.Context(), path, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	both(func() { k.mustBecome(r, map[string]string{"soup": served}) })
}
