package goroutine

import (
	"iter"
	"sync"
	"testing"
)

func TestCurrent(t *testing.T) {
	t.Parallel()
	self := Current()
	deep(100, func() {
		if got := Current(); got != self || got == 0 {
			t.Errorf("deep in the stack, after it has moved: %#x, want %#x", got, self)
		}
	})
	const others = 100
	var mu sync.Mutex
	seen := map[uintptr]bool{self: true}
	var ready, done sync.WaitGroup
	ready.Add(others)
	for range others {
		done.Go(func() {
			mu.Lock()
			seen[Current()] = true
			mu.Unlock()
			ready.Done()
			ready.Wait() // all of them live at the same time
		})
	}
	done.Wait()
	if len(seen) != others+1 {
		t.Errorf("%d goroutines have %d numbers", others+1, len(seen))
	}
	next, stop := iter.Pull(func(yield func(uintptr) bool) { yield(Current()) })
	defer stop()
	if inside, _ := next(); inside == self {
		t.Error("a coroutine has the number of the goroutine that runs it")
	}
}

// deep runs fn below n large frames.
func deep(n int, fn func()) {
	var frame [1 << 10]byte
	if n == 0 {
		fn()
		return
	}
	deep(n-1, fn)
	_ = frame[n]
}

func BenchmarkCurrent(b *testing.B) {
	for b.Loop() {
		_ = Current()
	}
}
