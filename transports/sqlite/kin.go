package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Work that queues other work, and waits for it, waits for itself. The context that would tell may be another one, so
// those in the queue are asked. When work has been running for a while, everybody behind it looks whether that work's own
// goroutine called it. When work is cut off, those look, too, that a goroutine called which descends from it: nothing of
// theirs is carried out. Looking is expensive; few groups take that long.

// askAfter is how long work has been running when those in the queue are asked, and then how often those who came since.
const askAfter = 50 * time.Millisecond

// errAsked is the answer that asks submit for its kin. Its item is out of the queue.
var errAsked = errors.New("sqlite: whose are you?")

// ask has those in the queue that were not asked about work before find out whether they belong to it, which runs in the
// given goroutine and may have been cut off.
func (w *writer) ask(work *item, goroutine uint64, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asking := &family{root: goroutine, cut: cut}
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
	if !it.asking.has(goroutineID()) {
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

// has reports whether the goroutine id, which calls it, belongs to the family. Only the first call of all looks for those who do.
func (f *family) has(id uint64) bool {
	if id == f.root || !f.cut {
		return id == f.root
	}
	f.once.Do(func() { f.members = descendants(f.root) })
	return f.members[id]
}

// allStacks bounds the text of all goroutines. Those beyond it are nobody's.
const allStacks = 64 << 20

// stacks are those of all goroutines, which stand still meanwhile.
func stacks() []byte {
	text := make([]byte, 256<<10)
	n := runtime.Stack(text, true)
	for n == len(text) && n < allStacks {
		text = make([]byte, 4*n)
		n = runtime.Stack(text, true)
	}
	return text[:n]
}

// descendants are the goroutines that root has started, and that those have, as far as they are all still there.
func descendants(root uint64) map[uint64]bool {
	children := map[uint64][]uint64{}
	for one := range bytes.SplitSeq(stacks(), []byte("\n\n")) {
		if id := numberAfter(one, 0, "goroutine "); id != 0 {
			parent := numberAfter(one, bytes.LastIndex(one, []byte(" in goroutine ")), " in goroutine ")
			children[parent] = append(children[parent], id)
		}
	}
	members := map[uint64]bool{}
	for next := []uint64{root}; len(next) > 0; next = next[1:] {
		for _, child := range children[next[0]] {
			members[child] = true
			next = append(next, child)
		}
	}
	return members
}

// goroutineID is the number of the calling goroutine, which the runtime tells only as text.
func goroutineID() uint64 {
	var text [64]byte
	return numberAfter(text[:runtime.Stack(text[:], false)], 0, "goroutine ")
}

// numberAfter is the number behind word, which text has at the index at; 0, which is no goroutine's, where it has none.
func numberAfter(text []byte, at int, word string) uint64 {
	if at < 0 || !bytes.HasPrefix(text[at:], []byte(word)) {
		return 0
	}
	text = text[at+len(word):]
	end := bytes.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	n, _ := strconv.ParseUint(string(text[:end]), 10, 64)
	return n
}
