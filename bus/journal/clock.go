package journal

import (
	"context"
	"time"
)

type clockKey struct{}

// WithClock returns a context in which now is the wall clock: of a journal that is opened with it, and of what people do to a
// journal with it. It is for tests that step the clock.
func WithClock(ctx context.Context, now func() time.Time) context.Context {
	return context.WithValue(ctx, clockKey{}, now)
}

// Clock returns the wall clock that WithClock put into ctx, or that of the machine.
func Clock(ctx context.Context) (now func() time.Time) {
	if now, ok := ctx.Value(clockKey{}).(func() time.Time); ok {
		return now
	}
	return wallClock
}

// wallClock reads the wall clock alone: differences to it follow its steps.
func wallClock() time.Time { return time.Now().Round(0) }
