package sqlite

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// admitted bounds how many events a subscription holds in memory beyond those that it has handed out: they wait
// behind one of their key.
const admitted = 512

// laneLength is how many events of one key wait in memory behind one that takes long; more are recorded as blocked, so that
// a busy key does not use up what is admitted, and others go on.
const laneLength = 64

// reader is whoever follows the log: the writer notes the newest event that it wants, and wakes it.
type reader struct {
	match *match
	want  atomic.Int64
	wake  chan struct{} // capacity 1
}

func newReader(m *match) reader { return reader{match: m, wake: make(chan struct{}, 1)} }

func (r *reader) poke() { poke(r.wake) }

// subscription decides which of its events runs next, and keeps those of one key in order.
//
// An event is admitted in the order of the log. With nothing of its key before it, it is launched: handed to the Router as
// a message. Otherwise it waits in memory behind the one that is running, or, when that one has failed, it is recorded as
// blocked, so that the rest of the log can pass. When a delivery is settled, the next of its key is launched.
//
// One goroutine (pump.go) admits and reads the disk; settling happens in the goroutines of the Router.
type subscription struct {
	reader
	journal.Subscription
	j   *Journal
	id  int64
	out chan *message.Message // capacity Parallel: sending never blocks

	since time.Time // when it became known, with FromNow

	mu        sync.Mutex
	pos       int64             // every wanted event up to here is admitted
	flights   map[int64]*flight // admitted or loaded again, and not settled, by seq
	order     []*place          // of the admitted ones, from the oldest that is not settled: they bound the cursor
	keys      map[string]*lane
	blocked   int       // in all lanes
	ready     []*flight // launched, but over Parallel
	handed    int
	delivered map[int64]bool // above the cursor when the journal was opened
	toBlock   []*flight
	resume    []string // keys whose next blocked event is to be loaded
	retries   retryHeap
	loading   int // retries that are due, and being read from the disk
	stopped   bool
	throttled bool // there is more due than should be in memory
}

// flight is a delivery in memory.
type flight struct {
	journal.Delivery
	msg     *message.Message     // for its first launch, made ahead
	place   *place               // nil unless it was admitted from the log
	again   bool                 // it has rows in pending: it failed, was blocked, or is replayed
	claimed atomic.Pointer[item] // the work that settles it
	acted   func()               // what a person decided about it between its commit and its settling; under s.mu
}

// place is a flight's in the log. It outlives the flight: behind one that takes long, many may have settled.
type place struct {
	seq     int64
	settled bool
}

// flight makes the first delivery of e. It takes its time, and must not be called under s.mu, for which the writer may wait.
func (s *subscription) flight(e *journal.Event) *flight {
	f := &flight{Delivery: journal.Delivery{Event: e, Subscription: s.Name, Attempt: 1, Since: s.since}}
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

// claim gives it the right to settle f, in the transaction that is being written. Of several deliveries of one event, one
// gets it; when the store refuses it, the next.
func (f *flight) claim(it *item) bool {
	return f.claimed.CompareAndSwap(nil, it) || f.claimed.Load() == it
}

// lane is a key that has something open.
type lane struct {
	held    bool      // the head failed, and waits for its next attempt
	parked  int64     // the seq of the dead letter that holds the key until a person acts on it; 0 for none
	blocked int       // recorded (or about to be) as blocked
	waiting []*flight // in memory, behind the one that is running
}

func newSubscription(j *Journal, id int64, spec journal.Subscription, cursor int64) *subscription {
	types, except := spec.Types, false
	if len(types) == 0 {
		types, except = spec.Except, true
	}
	spec.Parallel = max(spec.Parallel, 1)
	m := newMatch(types, except)
	m.durable = spec.Outside
	return &subscription{
		reader:       newReader(m),
		Subscription: spec,
		j:            j,
		id:           id,
		out:          make(chan *message.Message, spec.Parallel),
		pos:          cursor,
		flights:      map[int64]*flight{},
		keys:         map[string]*lane{},
		delivered:    map[int64]bool{},
	}
}

// room is how many more events may be admitted.
func (s *subscription) room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Parallel + admitted - len(s.flights)
}

// admit takes the next events of the log.
func (s *subscription) admit(events []*journal.Event, pos int64) {
	flights := make([]*flight, len(events))
	for i, e := range events {
		flights[i] = s.flight(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range flights {
		if s.delivered[f.Event.Seq] {
			delete(s.delivered, f.Event.Seq)
			continue
		}
		s.flights[f.Event.Seq] = f
		f.place = &place{seq: f.Event.Seq}
		s.order = append(s.order, f.place)
		s.place(f)
	}
	s.pos = pos
}

// place launches f, or puts it behind the others of its key. s.mu is held.
func (s *subscription) place(f *flight) {
	key := f.Event.Key
	if key == "" {
		s.launch(f)
		return
	}
	l := s.keys[key]
	switch {
	case l == nil:
		s.keys[key] = &lane{}
		s.launch(f)
	case l.held || l.parked != 0 || l.blocked > 0 || len(l.waiting) >= laneLength:
		s.block(l, f)
	default:
		l.waiting = append(l.waiting, f)
	}
}

// block has f recorded as blocked. s.mu is held.
func (s *subscription) block(l *lane, f *flight) {
	s.owe(l, 1)
	s.toBlock = append(s.toBlock, f)
	s.poke()
}

// owe counts what is recorded, or about to be, as blocked. s.mu is held.
func (s *subscription) owe(l *lane, n int) {
	l.blocked += n
	s.blocked += n
}

// launch hands f to the Router, now or when there is a place. s.mu is held.
func (s *subscription) launch(f *flight) {
	if s.handed >= s.Parallel || s.stopped {
		s.ready = append(s.ready, f)
		return
	}
	s.handed++
	msg := f.msg
	if f.msg = nil; msg == nil {
		msg = s.message(f)
	}
	s.out <- msg
}

// settle ends a delivery with the verdict that is on disk.
func (s *subscription) settle(seq int64, v *journal.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[seq]
	if f == nil {
		return // a second delivery of what is settled
	}
	s.land(f)
	s.handed--
	key := f.Event.Key
	switch {
	case v.Outcome == journal.Retrying:
		s.retries.add(retry{seq: seq, attempts: f.Attempt, failed: v.Started.Add(v.Duration), due: v.RetryAt.Round(0)})
		s.poke()
		if l := s.keys[key]; l != nil {
			l.held = true
			s.blockWaiting(l)
		}
	case v.Outcome == journal.Dead && s.Park && s.keys[key] != nil:
		l := s.keys[key]
		l.held, l.parked = false, seq
		s.blockWaiting(l)
	default:
		s.advance(key)
	}
	s.fill()
	if f.acted != nil {
		f.acted()
	}
	if s.throttled && len(s.ready) < admitted/2 {
		s.throttled = false
		s.poke()
	}
	if s.left().Quiet() { // others may be waiting for the last of it, and looking costs them more than us
		s.j.settled()
	}
}

// land takes f out of what is in flight. s.mu is held.
func (s *subscription) land(f *flight) {
	full := s.Parallel+admitted-len(s.flights) <= 0
	delete(s.flights, f.Event.Seq)
	if f.place != nil {
		f.place.settled = true
	}
	for len(s.order) > 0 && s.order[0].settled {
		s.order = s.order[1:]
	}
	if full {
		s.poke()
	}
}

// fill hands out what waited for a place. s.mu is held.
func (s *subscription) fill() {
	for len(s.ready) > 0 && s.handed < s.Parallel && !s.stopped {
		f := s.ready[0]
		s.ready[0] = nil
		s.ready = s.ready[1:]
		s.launch(f)
	}
}

// blockWaiting has those behind a head that failed recorded as blocked. s.mu is held.
func (s *subscription) blockWaiting(l *lane) {
	for _, f := range l.waiting {
		s.block(l, f)
	}
	l.waiting = nil
}

// advance goes on with the next of key. s.mu is held.
func (s *subscription) advance(key string) {
	l := s.keys[key]
	if l == nil {
		return
	}
	l.held, l.parked = false, 0
	switch {
	case len(l.waiting) > 0: // older than those on disk
		f := l.waiting[0]
		l.waiting = l.waiting[1:]
		s.launch(f)
	case l.blocked > 0:
		s.resume = append(s.resume, key)
		s.poke()
	default:
		delete(s.keys, key)
	}
}

// refused has a delivery handed out again that the store, not the handler, let down.
func (s *subscription) refused(seq int64, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[seq]
	if f == nil {
		return
	}
	s.handed--
	f.claimed.Store(nil)
	s.retries.add(retry{seq: seq, flight: f, due: s.j.cfg.now().Add(after)})
	s.fill() // its place is free: the others would wait for a settling that never comes
	s.throttled = false
	s.poke()
}

// crowded reports, and notes, that as much is waiting for a place as should be in memory. s.mu is held.
func (s *subscription) crowded() bool {
	s.throttled = len(s.ready) >= admitted
	return s.throttled
}

// isToBlock reports whether an event of key is about to be recorded as blocked. s.mu is held.
func (s *subscription) isToBlock(key string) bool {
	return slices.ContainsFunc(s.toBlock, func(f *flight) bool { return f.Event.Key == key })
}

// find returns what is in flight of seq, nil when it is settled.
func (s *subscription) find(seq int64) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flights[seq]
}

// cursor is the seq up to which every wanted event has its row in deliveries. Only the writer's goroutine may ask: it
// is what moves the head.
func (s *subscription) cursor() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.order) > 0:
		return s.order[0].seq - 1
	case s.pos >= s.want.Load():
		return max(s.pos, s.j.tail.newest())
	default:
		return s.pos
	}
}

// backlog is what s has left to do.
func (s *subscription) backlog() journal.Backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left()
}

// left is backlog with s.mu held.
func (s *subscription) left() journal.Backlog {
	return journal.Backlog{
		Ready:    max(0, int(s.want.Load()-s.pos)) + len(s.flights) - s.handed + len(s.resume),
		InFlight: s.handed, Retrying: len(s.retries) + s.loading, Blocked: s.blocked,
	}
}
