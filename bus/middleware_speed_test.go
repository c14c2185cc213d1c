//go:build unix

package bus_test

import (
	"context"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
)

// BenchmarkMiddleware compares a bus with a middleware, and a bus with Around, with a bus without, in turns: the metrics
// are the processor time without by the processor time with, the median of the turns.
func BenchmarkMiddleware(b *testing.B) {
	batch := make([]bus.Event, 8000)
	for i := range batch {
		batch[i] = asked{strconv.Itoa(i), i}
	}
	run := func(cfg bus.Config) float64 {
		a := MustRun(b, cfg, func(m *bus.Module) {
			bus.On(m.Emits(asked{}), "work", func(ctx context.Context, e asked) (bus.Events, error) {
				return nil, note(ctx, "work", e.Key, e.N)
			})
		})
		defer a.stop()
		before := processorTime(b)
		a.publish(b, batch...)
		return processorTime(b) - before
	}
	pass := func(next message.HandlerFunc) message.HandlerFunc { return next }
	around := func(ctx context.Context, _ bus.Event, next func(context.Context) error) error { return next(ctx) }
	configs := []bus.Config{{}, {Middleware: []message.HandlerMiddleware{pass}}, {Around: around}}
	ratios := make([][]float64, len(configs))
	for turn := 0; b.Loop(); turn++ {
		took := make([]float64, len(configs))
		for i := range configs { // each comes first in a third of the turns
			i = (i + turn) % len(configs)
			took[i] = run(configs[i])
		}
		for i := range configs {
			ratios[i] = append(ratios[i], took[0]/took[i])
		}
	}
	for i, name := range []string{"none", "middleware", "around"} {
		slices.Sort(ratios[i])
		b.ReportMetric(ratios[i][len(ratios[i])/2], name)
	}
}

// processorTime returns the processor time of the process so far, in seconds.
func processorTime(tb testing.TB) float64 {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
