package sqlite

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
)

// Work that queues other work, and waits for it, waits for itself. The context that would tell may be another one, so
// those in the queue are asked. When work has been running for a while, everybody behind it looks whether that work's
// own goroutine called it. When work is cut off, those look, too, that a goroutine called which descends from it:
// nothing of theirs is carried out. Looking is expensive; few groups take that long.

// askAfter is how long work has been running when those in the queue are asked, and then how often those who came
// since.
const askAfter = 50 * time.Millisecond

// errAsked is the answer that asks submit for its kin. Its item is out of the queue.
var errAsked = errors.New("sqlite: whose are you?")

// ask has those in the queue that were not asked about work before find out whether they belong to it, which runs in
// the goroutine root and may have been cut off.
func (w *writer) ask(work *item, root uint64, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asking := &family{root: root, cut: cut}
	w.queue = slices.DeleteFunc(w.queue, func(it *item) bool {
		if it.answer == nil || it.asked == work && !cut || !it.state.CompareAndSwap(itemQueued, itemAsked) {
			return false
		}
		it.asked, it.asking = work, asking
		it.reply(errAsked)
		return true
	})
}

// kin is an error when the calling goroutine, which waits for it, belongs to the work that it was asked about.
func (it *item) kin() error {
	if !it.asking.has(goroutine.ID()) {
		return nil
	}
	return fmt.Errorf("%w: %s waits for %s, which was called by it and cannot begin before its end",
		journal.ErrNested, it.asked.work.Name, it.work.Name)
}

// family is the goroutine of work, and where that was cut off, those that descend from it.
type family struct {
	root uint64
	cut  bool

	once    sync.Once
	members map[uint64]bool
}

// has reports whether the goroutine id, which calls it, belongs to the family. Only the first call of all looks for
// those who do.
func (f *family) has(id uint64) bool {
	if id == f.root || !f.cut {
		return id == f.root
	}
	f.once.Do(func() { f.members = goroutine.Descendants(f.root) })
	return f.members[id]
}
