package sqlite

import (
	"container/heap"
	"time"
)

// retry is a delivery that waits for its next attempt.
type retry struct {
	seq      int64
	attempts int       // that failed
	failed   time.Time // when the last one did
	due      time.Time
	flight   *flight // set when the store let it down: the attempt did not count
}

// retryHeap has the earliest due on top, and of those due at once the oldest event.
type retryHeap []retry

func (h retryHeap) Len() int { return len(h) }
func (h retryHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].seq < h[j].seq
}
func (h retryHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop are for container/heap; add and next are for everybody else.
func (h *retryHeap) Push(r any) { *h = append(*h, r.(retry)) }

// Pop removes the last element.
func (h *retryHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = retry{}
	*h = (*h)[:last]
	return r
}

func (h *retryHeap) add(r retry) { heap.Push(h, r) }

// next removes and returns the earliest if it is due.
func (h *retryHeap) next(now time.Time) (retry, bool) {
	if len(*h) == 0 || (*h)[0].due.After(now) {
		return retry{}, false
	}
	return heap.Pop(h).(retry), true
}
