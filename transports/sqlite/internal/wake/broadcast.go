package wake

import (
	"sync"
	"sync/atomic"
)

// Broadcast wakes all waiting goroutines. Send costs one atomic load without waiting goroutines.
type Broadcast struct {
	waited atomic.Bool
	mu     sync.Mutex
	ch     chan struct{}
}

// Wait returns a channel. The next Send closes the channel.
func (b *Broadcast) Wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	b.waited.Store(true)
	return b.ch
}

// Send wakes all waiting goroutines.
func (b *Broadcast) Send() {
	if !b.waited.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
	b.waited.Store(false)
}
