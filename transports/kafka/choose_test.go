package kafka

import (
	"testing"
	"time"
)

// A request that leaves a partition out must not wait long for the others: what comes to that one meanwhile would wait, too.
func TestARequestThatLeavesAPartitionOutIsShort(t *testing.T) {
	t.Parallel()
	full := &partition{feed: make(chan chunk, 2), known: true}
	hungry := &partition{feed: make(chan chunk, 2), known: true}
	f := &fetcher{partitions: []*partition{full, hungry}, wake: make(chan struct{}, 1), short: shortPoll}
	polls := func() time.Duration { f.choose(); return f.poll }
	if p := polls(); p != longPoll {
		t.Errorf("asked for all, it waits %v, want %v", p, longPoll)
	}
	full.feed <- chunk{}
	full.feed <- chunk{}
	if p := polls(); p != shortPoll {
		t.Errorf("with one left out, it waits %v, want %v", p, shortPoll)
	}
	if p := polls(); p != 2*shortPoll {
		t.Errorf("with one left out for longer, it waits %v, want %v", p, 2*shortPoll)
	}
	f.wake <- struct{}{}
	if p := polls(); p != shortPoll {
		t.Errorf("when one was fed meanwhile, it waits %v, want %v", p, shortPoll)
	}
}
