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

// Work that queues other work and waits for it waits for itself. Its context may be unknown, so the queue is asked.
// When work has run for a while, every goroutine that waits in the queue checks whether the same goroutine runs the
// work. When work is cut off, every waiting goroutine also checks whether it descends from the goroutine of the work;
// if so, its items are refused. The checks are expensive, but few groups take so long.

// askAfter is the running time after which the queue is asked, and the interval of later questions.
const askAfter = 50 * time.Millisecond

// errAsked is the answer that makes submit check for kin. The item is out of the queue.
var errAsked = errors.New("sqlite: whose are you?")

// ask asks the items in the queue whether they belong to work, unless they were asked before. work runs in the
// goroutine root, and with cut it was cut off.
func (w *Writer) ask(work *Item, root uint64, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asking := &family{root: root, cut: cut}
	w.queue = slices.DeleteFunc(w.queue, func(it *Item) bool {
		if it.Answer == nil || it.asked == work && !cut || !it.state.CompareAndSwap(itemQueued, itemAsked) {
			return false
		}
		it.asked, it.asking = work, asking
		it.reply(errAsked)
		return true
	})
}

// kin returns an error when the calling goroutine, which waits for the item, belongs to the work in the question.
func (it *Item) kin() error {
	if !it.asking.has(goroutine.ID()) {
		return nil
	}
	return fmt.Errorf("%w: %s waits for %s, which was called by it and cannot begin before its end",
		journal.ErrNested, it.asked.Work.Name, it.Work.Name)
}

// family is the goroutine of work, and with cut all its descendants.
type family struct {
	root uint64
	cut  bool

	once    sync.Once
	members map[uint64]bool
}

// has reports whether the calling goroutine, id, belongs to the family. Only the first call searches for descendants.
func (f *family) has(id uint64) bool {
	if id == f.root || !f.cut {
		return id == f.root
	}
	f.once.Do(func() { f.members = goroutine.Descendants(f.root) })
	return f.members[id]
}
