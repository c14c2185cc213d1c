package sqlite

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// subscription passes its events to the Router as messages, in the order of its dispatch, and records the outcomes in
// the journal.
//
// One goroutine (subscription_run.go) does the steps of the dispatch: it reads the log and the rows of pending, and
// records blocked events. The Router's goroutines settle deliveries.
type subscription struct {
	wake.Follower
	journal.Subscription
	j   *Journal
	id  int64
	out chan *message.Message // capacity Parallel: sending never blocks

	first    string               // oldest name, for the keys of deliveries
	since    time.Time            // with FromNow, the time of registration
	starts   map[string]time.Time // of the types that the subscription gained, and wants from then on only
	answered int64                // events up to here may have answers from before the journal was opened
	counted  bool                 // the pending rows were counted; for the goroutine of run
	follows  bool                 // a commit wakes the subscription; before, its cursor is not valid; guarded by j.mu

	mu       sync.Mutex
	dispatch *dispatch.Machine
}

// flight is a delivery in memory.
type flight struct {
	journal.Delivery
	task    dispatch.Task
	msg     *message.Message            // of the first launch, created in advance
	again   bool                        // the delivery has pending rows: it failed, was blocked, or is replayed
	claimed atomic.Pointer[commit.Item] // the work that may settle the delivery
}

// flight returns the first delivery of e. It may be slow: do not call it under s.mu, for which the writer may wait.
func (s *subscription) flight(e *journal.Event) *flight {
	f := &flight{Delivery: journal.Delivery{Event: e, Subscription: s.Name, First: s.first, Attempt: 1, Since: s.since}}
	f.task = dispatch.Task{Seq: e.Seq, Key: e.Key, Size: row.EventSize(e), Owner: f}
	if since, ok := s.starts[e.Type]; ok {
		f.Since = since
	}
	if s.Prepare != nil {
		f.Prepared = s.Prepare(e)
	}
	f.msg = s.message(f)
	return f
}

// message returns f as a Watermill message. Its context never ends: work inside the writer's transaction must not be
// cancelled, and the bus cancels other work itself.
func (s *subscription) message(f *flight) *message.Message {
	var msg *message.Message
	if s.Bare {
		msg = message.NewMessage(f.Event.ID, f.Event.Data)
	} else {
		msg = newMessage(f.Event)
	}
	msg.SetContext(journal.NewContext(context.Background(), &f.Delivery))
	return msg
}

// claim reports whether it may settle f, in the current transaction. Of several deliveries of one event, the first gets
// the right; when the store refuses the work, the next.
func (f *flight) claim(it *commit.Item) bool {
	return f.claimed.CompareAndSwap(nil, it) || f.claimed.Load() == it
}

func newSubscription(j *Journal, spec journal.Subscription, r *registry.Row) *subscription {
	spec.Parallel = max(spec.Parallel, 1)
	s := &subscription{Follower: wake.NewFollower(wake.Of(spec)), Subscription: spec, j: j, id: r.ID,
		first: r.First, since: r.Since, starts: r.Starts, out: make(chan *message.Message, spec.Parallel)}
	limits := dispatch.Limits{Parallel: s.Parallel, Tasks: s.Parallel + dispatch.Admitted,
		Bytes: dispatch.AdmittedBytes, Waiting: dispatch.LaneLength, Lanes: dispatch.HeldLanes}
	s.dispatch = dispatch.New(limits, s.Park, r.Cursor, s.hand, s.Poke)
	return s
}

// hand passes a delivery to the Router. s.mu is held.
func (s *subscription) hand(t *dispatch.Task) {
	f := t.Owner.(*flight)
	msg := f.msg
	if f.msg = nil; msg == nil {
		msg = s.message(f)
	}
	s.out <- msg
}

// settle ends a delivery with a verdict that is on disk.
func (s *subscription) settle(seq int64, v *journal.Verdict) {
	d := dispatch.Verdict{Outcome: dispatch.Answered}
	switch v.Outcome {
	case journal.Retrying:
		failed := v.Started.Add(v.Duration)
		d = dispatch.Verdict{Outcome: dispatch.Retrying, Now: s.j.cfg.now(), Due: v.RetryAt.Round(0),
			Pause: pauseOf(failed, v.RetryAt)}
	case journal.Dead:
		d.Outcome = dispatch.Dead
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dispatch.Settle(seq, d) && s.left().Quiet() { // wake Quiet only for the last
		s.j.settled()
	}
}

// pauseOf returns the pause of a failed delivery. An impossible pause becomes a very long one.
func pauseOf(failed, due time.Time) time.Duration {
	if d := due.Round(0).Sub(failed.Round(0)); d >= 0 && !failed.IsZero() {
		return d
	}
	return math.MaxInt64 / 2
}

// refused dispatches a delivery again after a failure of the store.
func (s *subscription) refused(seq int64, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.dispatch.Find(seq); t != nil {
		t.Owner.(*flight).claimed.Store(nil)
		s.dispatch.Refuse(seq, s.j.cfg.now(), after)
	}
}

// acted processes an act of another process on an event.
func (s *subscription) acted(seq int64, key string, act string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if act == "replay" && key != "" {
		s.dispatch.CountBlocked(1)
	}
	s.dispatch.Acted(dispatch.LaneOf(key, seq), seq)
}

// find returns the delivery of seq in flight, or nil.
func (s *subscription) find(seq int64) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.dispatch.Find(seq); t != nil {
		return t.Owner.(*flight)
	}
	return nil
}

// cursor returns the seq up to which all wanted events have rows in deliveries. Only the writer's goroutine, which
// moves the head, may call it.
func (s *subscription) cursor() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	pos := s.dispatch.Pos()
	if oldest, ok := s.dispatch.Oldest(); ok {
		return oldest - 1
	}
	if pos >= s.Want.Load() {
		return max(pos, s.j.tail.Newest())
	}
	return pos
}

// backlog returns the open work of s.
func (s *subscription) backlog() journal.Backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left()
}

// left is backlog with s.mu held.
func (s *subscription) left() journal.Backlog {
	l := s.dispatch.Left()
	return journal.Backlog{
		Ready:    max(0, int(s.Want.Load()-s.dispatch.Pos())) + l.Ready,
		InFlight: l.Handed, Retrying: l.Retrying, Blocked: l.Blocked,
	}
}
