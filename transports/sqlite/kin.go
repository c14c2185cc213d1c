package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Work that queues other work, and waits for it, waits for itself. The context that would tell may be another one, so
// those in the queue are asked. When work has been running for a while, everybody behind it looks whether that work's own
// goroutine called it. When work is cut off, those look, too, that a goroutine called which it may have started: nothing
// of theirs is carried out. Looking is expensive; few groups take that long.

// askAfter is how long work has been running when those in the queue are asked, and then how often those who came since.
const askAfter = 50 * time.Millisecond

// errAsked is the answer that asks submit for its kin. Its item is out of the queue.
var errAsked = errors.New("sqlite: whose are you?")

// ask has those in the queue that were not asked about work before find out whether they belong to it, which runs in the
// given goroutine and may have been cut off.
func (w *writer) ask(work *item, goroutine uint64, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = slices.DeleteFunc(w.queue, func(it *item) bool {
		if it.answer == nil || it.asked == work && !cut || !it.state.CompareAndSwap(itemQueued, itemAsked) {
			return false
		}
		it.asked, it.asking, it.cut = work, goroutine, cut
		it.reply(errAsked)
		return true
	})
}

// kin is an error when the calling goroutine, which waits for it, belongs to the work that it was asked about.
func (it *item) kin() error {
	if self, parent := goroutines(); self != it.asking && (parent != it.asking || !it.cut) {
		return nil
	}
	return fmt.Errorf("%w: %s waits for %s, which was called by it and cannot begin before its end",
		journal.ErrNested, it.asked.work.Name, it.work.Name)
}

// goroutines are the number of the calling goroutine, and of the one that started it, 0 where that is not known. The
// runtime tells them only as text.
func goroutines() (self, parent uint64) {
	text := make([]byte, 64<<10)
	text = text[:runtime.Stack(text, false)]
	self = numberAfter(text, bytes.Index(text, []byte("goroutine ")), "goroutine ")
	parent = numberAfter(text, bytes.LastIndex(text, []byte(" in goroutine ")), " in goroutine ")
	return self, parent
}

func numberAfter(text []byte, at int, word string) uint64 {
	if at < 0 {
		return 0
	}
	text = text[at+len(word):]
	end := bytes.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	n, _ := strconv.ParseUint(string(text[:max(end, 0)]), 10, 64) // 0 is nobody's
	return n
}
