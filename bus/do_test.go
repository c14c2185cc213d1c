package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus"
)

type receipt struct {
	N    int
	note string // not in the JSON
}

// A request under a key is done once, and gets the same answer each time, until the key is forgotten.
func TestDoUnderAKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := MustRun(t, bus.Config{KeepKeys: time.Hour}, func(m *bus.Module) { m.Emits(asked{}).ForOutside(asked{}) })
		runs := 0
		do := func(key string, body any, fails error) (receipt, string, error) {
			return bus.Do(t.Context(), a.m, bus.Unit{Key: key, Body: body}, func(context.Context) (receipt, bus.Events, error) {
				runs++
				return receipt{runs, "lost"}, bus.Emit(asked{key, runs}), fails
			})
		}
		want := func(what string, key string, body any, n int) (flow string) {
			t.Helper()
			got, flow, err := do(key, body, nil)
			if err != nil || got != (receipt{N: n}) || flow == "" {
				t.Errorf("%s: %+v, flow %q, %v, want %d", what, got, flow, err, n)
			}
			return flow
		}
		if _, _, err := do("k", "body", errPlanned); !errors.Is(err, errPlanned) {
			t.Errorf("the first fails: %v", err)
		}
		flow := want("after a failure", "k", "body", 2)
		if again := want("again", "k", "body", 2); again != flow {
			t.Errorf("flow %q, then %q", flow, again)
		}
		if _, _, err := do("k", "other", nil); !errors.Is(err, bus.ErrKeyReused) {
			t.Errorf("another body: %v", err)
		}
		want("another key", "l", "body", 3)
		<-time.After(time.Hour)
		if later := want("a forgotten key", "k", "other", 4); later == flow {
			t.Error("a forgotten key has the old flow")
		}
		want("a key that deletes old rows", "m", nil, 5)
		wantStrings(t, "rows", a.strings(t, "SELECT key FROM requests ORDER BY key"), "k", "m")
		wantStrings(t, "events", a.strings(t, "SELECT key FROM events ORDER BY seq"), "k", "l", "k", "m")
		for key, reason := range map[string]error{"a\x00b": bus.ErrBadID, string(make([]byte, 1025)): bus.ErrBadID} {
			if _, _, err := do(key, nil, nil); !errors.Is(err, reason) {
				t.Errorf("key %.10q: %v", key, err)
			}
		}
	})
}

// A unit of work without a key returns its result as it is, and is cut off after its time limit.
func TestDoWithAResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := MustRun(t, bus.Config{UnitTimeout: time.Second}, func(*bus.Module) {})
		for limit, want := range map[time.Duration]error{0: bus.ErrAbandoned, time.Minute: nil} {
			got, _, err := bus.Do(t.Context(), a.m, bus.Unit{Timeout: limit}, func(context.Context) (receipt, bus.Events, error) {
				<-time.After(10 * time.Second)
				return receipt{1, "kept"}, nil, nil
			})
			if !errors.Is(err, want) || want == nil && (err != nil || got != (receipt{1, "kept"})) {
				t.Errorf("limit %v: %+v, %v, want %v", limit, got, err, want)
			}
		}
		<-time.After(time.Minute) // for the abandoned work
	})
}

// Wait ends when the flow is at rest, or with its context.
func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := MustRun(t, bus.Config{}, func(m *bus.Module) {
			m.Emits(asked{})
			bus.On(m, "slow", func(context.Context, asked) (bus.Events, error) {
				<-time.After(time.Minute)
				return nil, nil
			}).External(1).Timeout(time.Hour)
		})
		flow, err := a.m.Publish(t.Context(), asked{"a", 1})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Wait(ctx, flow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after a second: %v", err)
		}
		if err := errors.Join(a.Wait(t.Context(), flow), a.Wait(t.Context(), "")); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("the flow rests after %v", took)
		}
	})
}
