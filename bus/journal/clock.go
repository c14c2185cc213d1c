package journal

import (
	"context"
	"time"
)

type clockKey struct{}

// WithClock returns a context with now as the wall clock. A journal that is opened with the context uses now, and so
// do the acts of people, such as a replay. WithClock is for tests that step the clock.
func WithClock(ctx context.Context, now func() time.Time) context.Context {
	return context.WithValue(ctx, clockKey{}, now)
}

// Clock returns the wall clock of WithClock, or the clock of the machine.
func Clock(ctx context.Context) (now func() time.Time) {
	if now, ok := ctx.Value(clockKey{}).(func() time.Time); ok {
		return now
	}
	return wallClock
}

// wallClock returns the time without Go's monotonic reading, so that differences between two times follow steps of the
// wall clock.
func wallClock() time.Time { return time.Now().Round(0) }
