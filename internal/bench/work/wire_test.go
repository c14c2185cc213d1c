package work

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

var errFailed = errors.New("the disk is gone")

// MustBroker starts a broker in this process, and returns its address.
func MustBroker(tb testing.TB) string {
	tb.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

func TestSplitsLeave(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		split      split
		main, peer left
	}{
		{together, left{60, 50, 50}, left{}},
		{splits[2], left{40, 20, 20}, left{40, 30, 30}},
		{splits[4], left{60, 30, 30}, left{40, 20, 20}},
	} {
		if main, peer := tt.split.leaves(mainModule, 10), tt.split.leaves(peerModule, 10); main != tt.main || peer != tt.peer {
			t.Errorf("%v leaves %v and %v, want %v and %v", tt.split, main, peer, tt.main, tt.peer)
		}
	}
	for across, s := range splits {
		got, emitter := 0, mainModule
		for _, reacting := range s {
			if reacting != emitter {
				got++
			}
			emitter = reacting
		}
		if got != across || s[Reactions-1] != mainModule {
			t.Errorf("%v has %d across, want %d, and its end in %s", s, got, across, mainModule)
		}
	}
}

func TestLossOnTheWireIsAnError(t *testing.T) {
	t.Parallel()
	j := Job{Worker: "send", Brokers: MustBroker(t), Prefix: "t", Flows: 20}
	c, err := Connect(j.Brokers)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Prepare(t.Context(), j), j.fill(t.Context()), j.expectRecords()); err != nil {
		t.Fatal(err)
	}
	more := j
	more.Flows++
	if err := more.expectRecords(); err == nil || !strings.Contains(err.Error(), "22 records, want 23") {
		t.Errorf("one is missing: %v", err)
	}
	if err := errors.Join(c.Remove(j), c.Close()); err != nil {
		t.Error(err)
	}
}

func TestEndsCountOnce(t *testing.T) {
	t.Parallel()
	e := newEnds(3)
	e.expect(2)
	e.note(newOrder(0))
	e.note(newOrder(0))
	select {
	case <-e.reached:
		t.Error("one flow ended twice, and counts as two")
	default:
	}
	e.note(newOrder(2))
	if err := e.wait(t.Context()); err != nil || e.ended.Load() != 2 {
		t.Errorf("%d ended, %v", e.ended.Load(), err)
	}
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	if err := e.wait(ctx); !errors.Is(err, late) {
		t.Errorf("after its context has ended: %v", err)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	m := Job{Flows: 1000}.newMeter()
	var told atomic.Int64
	f, err := m.of(t.Context(), func(ctx context.Context) error {
		for _, n := range []int64{99, 150, 600} {
			m.at(n)
		}
		m.started = m.started.Add(-time.Second) // as if it had taken a second
		m.at(1100)
		told.Store(1)
		<-ctx.Done()
		return nil
	})
	if rate := f[EventsPerSecond]; err != nil || rate < 800 || rate > 950 || told.Load() != 1 {
		t.Errorf("measured %v, %v, want a little below 950", f, err)
	}
	m = Job{Flows: 10}.newMeter()
	if f, err := m.of(t.Context(), func(ctx context.Context) error { m.at(11); <-ctx.Done(); return nil }); err != nil || f[EventsPerSecond] <= 0 {
		t.Errorf("in one step: %v, %v", f, err)
	}
	if _, err := m.of(t.Context(), func(context.Context) error { return errFailed }); !errors.Is(err, errFailed) {
		t.Errorf("what fails: %v", err)
	}
}
