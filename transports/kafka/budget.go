package kafka

import (
	"sync"
	"sync/atomic"
)

// maxHeld is how many bytes of a subscription's messages may be delivered and not acknowledged. Each partition may
// deliver a single message in spite of the limit.
const maxHeld = 32 << 20

// budget counts the bytes that a subscription's partitions have delivered.
type budget struct {
	held atomic.Int64

	mu   sync.Mutex
	room chan struct{} // closed when there is room again; nil while no partition waits
}

func (b *budget) take(n int64) { b.held.Add(n) }

func (b *budget) release(n int64) {
	now := b.held.Add(-n)
	if now >= maxHeld || now+n < maxHeld {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}

// full returns nil while there is room, else a channel that is closed when there is room again.
func (b *budget) full() <-chan struct{} {
	if b.held.Load() < maxHeld {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held.Load() < maxHeld {
		return nil
	}
	if b.room == nil {
		b.room = make(chan struct{})
	}
	return b.room
}
