package commit

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
)

// Work that queues other work and waits for it waits for itself. Its context may be unknown, so the queue is searched.
// When work has run for a while, the queued items of its goroutine are refused. When work is cut off, every waiting
// goroutine also checks whether it descends from the goroutine of the work; if so, its items are refused. That check is
// expensive, but work is seldom cut off.

// askAfter is the running time after which the queue is searched, and the interval of later searches.
const askAfter = 50 * time.Millisecond

// errAsked is the answer that makes Submit check for kin. The item is out of the queue.
var errAsked = errors.New("sqlite: whose are you?")

// refuseOwn refuses the queued items of the goroutine self, which runs work.
func (w *Writer) refuseOwn(work *Item, self uintptr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = slices.DeleteFunc(w.queue, func(it *Item) bool {
		if it.caller != self || !it.take() {
			return false
		}
		it.reply(waitsForItself(work, it))
		return true
	})
}

// ask asks the items in the queue whether they belong to work, which ran in the goroutine root and was cut off.
func (w *Writer) ask(work *Item, root uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asking := &family{work: work, root: root}
	w.queue = slices.DeleteFunc(w.queue, func(it *Item) bool {
		if it.Answer == nil || !it.state.CompareAndSwap(itemQueued, itemAsked) {
			return false
		}
		it.asking = asking
		it.reply(errAsked)
		return true
	})
}

// kin returns an error when the calling goroutine, which waits for the item, belongs to the work in the question.
func (it *Item) kin() error {
	if !it.asking.has(goroutine.ID()) {
		return nil
	}
	return waitsForItself(it.asking.work, it)
}

func waitsForItself(work, it *Item) error {
	return fmt.Errorf("%w: %s waits for %s, which was called by it and cannot begin before its end",
		journal.ErrNested, work.Work.Name, it.Work.Name)
}

// family is the goroutine of work that was cut off, and all its descendants.
type family struct {
	work *Item
	root uint64

	once    sync.Once
	members map[uint64]bool
}

// has reports whether the calling goroutine, id, belongs to the family. Only the first call searches for descendants.
func (f *family) has(id uint64) bool {
	if id == f.root {
		return true
	}
	f.once.Do(func() { f.members = goroutine.Descendants(f.root) })
	return f.members[id]
}
