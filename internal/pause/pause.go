// Package pause waits until a context ends. Every other package may import pause.
package pause

import (
	"context"
	"time"
)

// For waits for d and returns true. If ctx ends first, For returns false at once.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
