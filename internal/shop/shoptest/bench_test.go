package shoptest_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/internal/shop/shoptest"
)

type app = bustest.App[shoptest.Shop]

func stock(a *app) {
	a.Must("goods arrive", func(ctx context.Context, s shoptest.Shop) error { return s.Receive(ctx, "MUG", 10) })
}

func place(a *app, id string) {
	a.Must("the customer orders", func(ctx context.Context, s shoptest.Shop) error { return s.Place(ctx, id, "MUG", 2) })
}

func cancel(a *app, id string) {
	a.Must("the customer cancels", func(ctx context.Context, s shoptest.Shop) error { return s.Cancel(ctx, id) })
}

// one measures a test of the size of a benchmark's iteration: testing.B has no bubble, so each is a test of its own.
func one(b *testing.B, test func(t *testing.T)) {
	b.Helper()
	for b.Loop() {
		ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: b.Name(), F: test}})
		if !ok {
			b.Fatal("the test failed")
		}
	}
}

// BenchmarkHappyFlow is one end-to-end test, whole: open, wire, run, assert, close.
func BenchmarkHappyFlow(b *testing.B) {
	one(b, func(t *testing.T) {
		bustest.Run(t, shoptest.System(), func(a *app) {
			stock(a)
			place(a, "order-1")
			a.Quiet()
		})
	})
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/test")
}

// BenchmarkCancelRace is how many schedules of the cancel race are explored in a second.
func BenchmarkCancelRace(b *testing.B) { cancelRace(b, shoptest.System()) }

// BenchmarkCancelRaceInFive is the same in five deployables: what opening five journals a schedule costs.
func BenchmarkCancelRaceInFive(b *testing.B) { cancelRace(b, shoptest.Spread(shoptest.Five, nil)) }

func cancelRace(b *testing.B, sys bustest.System[shoptest.Shop]) {
	b.Helper()
	const schedules = 500
	seed := uint64(0)
	one(b, func(t *testing.T) {
		seed++
		bustest.Explore(t, sys, bustest.Exploration{Schedules: schedules, Seed: seed}, func(a *app) {
			stock(a)
			place(a, "order-1")
			cancel(a, "order-1")
		})
	})
	b.ReportMetric(schedules*float64(b.N)/b.Elapsed().Seconds(), "schedules/s")
}

// BenchmarkThirtyDays is an order whose carrier is away for a month: the retries and timers of 30 virtual days.
func BenchmarkThirtyDays(b *testing.B) {
	one(b, func(t *testing.T) {
		sys := shoptest.System()
		sys.Config.ExternalRetry = bus.Retry{Attempts: 1000, Max: 24 * time.Hour}
		bustest.Run(t, sys, func(a *app) {
			stock(a)
			for range 40 {
				a.World().Service("carrier").Next("dispatch", bustest.Fails)
			}
			place(a, "order-1")
			a.Advance(30 * 24 * time.Hour)
		})
	})
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/30days")
}
