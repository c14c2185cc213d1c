// Package batch handles many events with one call to the outside, such as a bulk request to a search index.
//
// Package batch is a seam: a minor version may change the package, and the changelog says how.
package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus"
)

// Item is an event of a batch.
type Item[E bus.Event] struct {
	Event   E
	Context context.Context // of the event's delivery, for bus.Delivery, bus.NewID, bus.Now and bus.Commit

	answer chan Answer
}

// Answer is the result of a handler for one event: events to emit, or an error, which may come from bus.Dead,
// bus.RetryAfter, bus.Wait or bus.Drop.
type Answer struct {
	Events bus.Events
	Err    error
}

// Of returns a handler function for bus.On with Handler.External. The function collects up to most events, for linger
// at the longest, and passes the events to call. The calls of External limit a batch, too: pass most, or a multiple of
// most, to External.
//
//	bus.On(search, "index", batch.Of(100, 50*time.Millisecond, index)).External(200)
//
// call returns an answer for each item, in the order of the items, or an error, which is the answer to each. Each event
// has its own attempts, and its own outcome: only events with an error come again, in another batch. A batch has no two
// events of one key. ctx ends with the timeout of the event that has waited longest, and belongs to no delivery; each
// Item has the Context of its own delivery. linger counts toward the timeout of the handler.
//
// Of panics when most is less than 1, linger is negative, or call is nil.
func Of[E bus.Event](
	most int, linger time.Duration, call func(ctx context.Context, items []Item[E]) ([]Answer, error),
) func(ctx context.Context, e E) (bus.Events, error) {
	if most < 1 || linger < 0 || call == nil {
		panic(fmt.Sprintf("batch: Of(%d, %v, …): want 1 or more, 0 or more, and a function", most, linger))
	}
	return (&batches[E]{most: most, linger: linger, call: call}).handle
}

// batches are the batches of a handler.
type batches[E bus.Event] struct {
	most   int
	linger time.Duration
	call   func(ctx context.Context, items []Item[E]) ([]Answer, error)

	mu   sync.Mutex
	open *group[E] // takes further items; nil for none
}

// group is a batch. The handler of the first item makes the call.
type group[E bus.Event] struct {
	items []Item[E]
	full  chan struct{}
}

func (b *batches[E]) handle(ctx context.Context, e E) (bus.Events, error) {
	item := Item[E]{Event: e, Context: ctx, answer: make(chan Answer, 1)}
	g, leads := b.join(item)
	if leads {
		b.fill(ctx, g)
		b.answer(ctx, g.items)
	}
	select {
	case a := <-item.answer:
		return a.Events, a.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join adds an item to the open batch, or to a new batch, which the item leads.
func (b *batches[E]) join(item Item[E]) (g *group[E], leads bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if leads = b.open == nil; leads {
		b.open = &group[E]{full: make(chan struct{})}
	}
	g = b.open
	if g.items = append(g.items, item); len(g.items) == b.most {
		b.open = nil
		close(g.full)
	}
	return g, leads
}

// fill waits until g takes no further items.
func (b *batches[E]) fill(ctx context.Context, g *group[E]) {
	limit := time.NewTimer(b.linger)
	defer limit.Stop()
	select {
	case <-g.full:
	case <-limit.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == g {
		b.open = nil
	}
}

// answer makes the call for items, and passes the answers on. A panic is an error for all items. The handler of
// the first item panics, too.
func (b *batches[E]) answer(ctx context.Context, items []Item[E]) {
	err := errors.New("batch: the call panicked, or ended its goroutine")
	var answers []Answer
	defer func() {
		for i, item := range items {
			if err == nil {
				item.answer <- answers[i]
			} else {
				item.answer <- Answer{Err: err}
			}
		}
	}()
	answers, err = b.call(deadline{ctx}, items)
	if err == nil && len(answers) != len(items) {
		err = fmt.Errorf("batch: the call returned %d answers for %d items: want one answer for each item, in order", len(answers), len(items))
	}
}

// deadline is a context without its values, which belong to one of several deliveries.
type deadline struct{ context.Context }

// Value returns nil.
func (deadline) Value(any) any { return nil }
