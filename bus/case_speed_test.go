package bus_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
)

// BenchmarkOnEach compares a handler of two types with two handlers, in turns: the metric is the time of the former by
// the time of the latter, the median of the turns.
func BenchmarkOnEach(b *testing.B) {
	const events = 2000
	run := func(wire func(*bus.Module)) time.Duration {
		a := MustRun(b, bus.Config{}, func(m *bus.Module) { wire(m.Emits(asked{}, answered{})) })
		defer a.stop()
		batch := make([]bus.Event, 0, events)
		for i := range events / 2 {
			key := fmt.Sprint(i)
			batch = append(batch, asked{key, i}, answered{key, i})
		}
		started := time.Now()
		a.publish(b, batch...)
		return time.Since(started)
	}
	row := func(ctx context.Context, name string, n int) (bus.Events, error) { return nil, note(ctx, name, "", n) }
	ask := func(ctx context.Context, e asked) (bus.Events, error) { return row(ctx, "ask", e.N) }
	answer := func(ctx context.Context, e answered) (bus.Events, error) { return row(ctx, "answer", e.N) }
	var ratios []float64
	for b.Loop() {
		one := run(func(m *bus.Module) { bus.OnEach(m, "each", bus.Of(ask), bus.Of(answer)) })
		two := run(func(m *bus.Module) {
			bus.On(m, "ask", ask).AnyOrder()
			bus.On(m, "answer", answer)
		})
		ratios = append(ratios, one.Seconds()/two.Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-two-handlers")
}
