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
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// subscription hands its events to the Router as messages, in the order that its dispatch decides, and records with
// the journal what became of them.
//
// One goroutine (subscription_run.go) does what the dispatch asks for: it reads the log and the rows of pending, and
// records what is blocked. Settling happens in the goroutines of the Router.
type subscription struct {
	wake.Follower
	journal.Subscription
	j   *Journal
	id  int64
	out chan *message.Message // capacity Parallel: sending never blocks

	since    time.Time // when it became known, with FromNow
	answered int64     // events up to here may have been answered before the journal was opened
	counted  bool      // the rows of pending have been counted; the pump's
	follows  bool      // it is told of new events: before that its cursor says nothing; guarded by j.mu

	mu       sync.Mutex
	dispatch *dispatch.Machine
}

// flight is a delivery in memory.
type flight struct {
	journal.Delivery
	task    dispatch.Task
	msg     *message.Message     // for its first launch, made ahead
	again   bool                 // it has rows in pending: it failed, was blocked, or is replayed
	claimed atomic.Pointer[item] // the work that settles it
}

// flight makes the first delivery of e. It takes its time, and must not be called under s.mu, for which the writer
// may wait.
func (s *subscription) flight(e *journal.Event) *flight {
	f := &flight{Delivery: journal.Delivery{Event: e, Subscription: s.Name, Attempt: 1, Since: s.since}}
	f.task = dispatch.Task{Seq: e.Seq, Key: e.Key, Size: row.EventSize(e), Owner: f}
	if s.Prepare != nil {
		f.Prepared = s.Prepare(e)
	}
	f.msg = s.message(f)
	return f
}

// message puts f into a Watermill message. Its context is never cancelled: work that runs inside the writer's
// transaction must not be, and the bus cancels the rest itself.
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

// claim gives it the right to settle f, in the transaction that is being written. Of several deliveries of one event,
// one gets it; when the store refuses it, the next.
func (f *flight) claim(it *item) bool {
	return f.claimed.CompareAndSwap(nil, it) || f.claimed.Load() == it
}

func newSubscription(j *Journal, id int64, spec journal.Subscription, cursor int64) *subscription {
	types, except := spec.Types, false
	if len(types) == 0 {
		types, except = spec.Except, true
	}
	spec.Parallel = max(spec.Parallel, 1)
	m := wake.NewMatch(types, except)
	m.Durable = spec.Outside
	s := &subscription{Follower: wake.NewFollower(m), Subscription: spec, j: j, id: id, out: make(chan *message.Message, spec.Parallel)}
	s.startAt(cursor)
	return s
}

// startAt begins the dispatch behind the cursor.
func (s *subscription) startAt(cursor int64) {
	limits := dispatch.Limits{Parallel: s.Parallel, Tasks: s.Parallel + dispatch.Admitted, Bytes: dispatch.AdmittedBytes, Waiting: dispatch.LaneLength, Lanes: dispatch.HeldLanes}
	s.dispatch = dispatch.New(limits, s.Park, cursor, s.hand, s.Poke)
}

// hand gives a delivery to the Router. s.mu is held.
func (s *subscription) hand(t *dispatch.Task) {
	f := t.Owner.(*flight)
	msg := f.msg
	if f.msg = nil; msg == nil {
		msg = s.message(f)
	}
	s.out <- msg
}

// settle ends a delivery with the verdict that is on disk.
func (s *subscription) settle(seq int64, v *journal.Verdict) {
	d := dispatch.Verdict{Outcome: dispatch.Answered}
	switch v.Outcome {
	case journal.Retrying:
		failed := v.Started.Add(v.Duration)
		d = dispatch.Verdict{Outcome: dispatch.Retrying, Now: s.j.cfg.now(), Due: v.RetryAt.Round(0), Pause: pauseOf(failed, v.RetryAt)}
	case journal.Dead:
		d.Outcome = dispatch.Dead
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dispatch.Settle(seq, d) && s.left().Quiet() { // others may be waiting for the last of it, and looking costs them more than us
		s.j.settled()
	}
}

// pauseOf returns the pause of a failed delivery. An impossible pause bounds nothing.
func pauseOf(failed, due time.Time) time.Duration {
	if d := due.Round(0).Sub(failed.Round(0)); d >= 0 && !failed.IsZero() {
		return d
	}
	return math.MaxInt64 / 2
}

// refused has a delivery handed out again that the store, not the handler, let down.
func (s *subscription) refused(seq int64, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.dispatch.Find(seq); t != nil {
		t.Owner.(*flight).claimed.Store(nil)
		s.dispatch.Refuse(seq, s.j.cfg.now(), after)
	}
}

// acted takes up that another process changed rows of an event.
func (s *subscription) acted(seq int64, key string, act string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if act == "replay" && key != "" {
		s.dispatch.CountBlocked(1)
	}
	s.dispatch.Acted(dispatch.LaneOf(key, seq), seq)
}

// find returns what is in flight of seq, nil when it is settled.
func (s *subscription) find(seq int64) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.dispatch.Find(seq); t != nil {
		return t.Owner.(*flight)
	}
	return nil
}

// cursor is the seq up to which every wanted event has its row in deliveries. Only the writer's goroutine may ask: it
// is what moves the head.
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

// backlog is what s has left to do.
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
