package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/internal/pause"
)

const (
	// buffered is how many messages of all partitions may wait for whoever takes them.
	buffered = 256
	// commitEvery is how often places that moved are written to Kafka.
	commitEvery = time.Second
	// lookEvery is how often it is seen to that no other process has taken over, while nothing is to be written.
	lookEvery = 5 * time.Second
	// keepEvery is how often all of them are, moved or not: Kafka forgets those that nobody wrote for a while (a week).
	keepEvery = time.Hour
)

// subscription reads one topic, all of its partitions.
//
// It is no member of a consumer group. A group shares partitions out among its members, but a journal belongs to one
// process and must see all of them: a second member would quietly take half of the events away. And a group makes
// everybody wait: for others to join, for the session of a member that was killed, for each rebalance.
//
// It runs in laps (lap.go): for as long as leaders stay where they are, each has a fetcher. When anything is wrong, the
// lap ends, and the next one begins with a fresh look at who leads what.
type subscription struct {
	t      *Transport
	topic  string
	group  string // under which the place is kept
	out    chan *message.Message
	id     string         // the topic's identity; "" if it has none
	memory journal.Memory // nil for none
	held   budget         // of bytes that are delivered, and not acknowledged

	ctx  context.Context
	end  context.CancelCauseFunc // with what is wrong
	wg   sync.WaitGroup          // of the partitions and the keeper
	done chan struct{}           // closed last

	mu         sync.Mutex
	partitions map[int32]*partition // only grows

	unknown atomic.Int32  // partitions that were not read once
	ready   chan struct{} // closed when there are none
	once    sync.Once
}

// subscribe owns the reservation of topic and group, and gives it back before the channel closes, or with an error.
func (t *Transport) subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	s := &subscription{
		t: t, topic: topic, group: group, memory: wire.MemoryOf(ctx), out: make(chan *message.Message, buffered), done: make(chan struct{}),
		partitions: map[int32]*partition{}, ready: make(chan struct{}),
	}
	t.self.Head(s.memory)
	s.ctx, s.end = context.WithCancelCause(ctx)
	unlink := context.AfterFunc(t.ctx, func() { s.end(ErrClosed) })
	leaders, err := s.start()
	if err != nil {
		unlink()
		s.end(err)
		t.release(topic, group)
		return nil, err
	}
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		s.run(leaders)
		unlink()
		t.release(topic, group)
		close(s.out)
		close(s.done)
	}()
	select {
	case <-s.ready:
		return s.out, nil
	case <-s.done:
		return nil, context.Cause(s.ctx)
	}
}

// start finds out where to begin.
func (s *subscription) start() (leaders, error) {
	within, began := 2*s.t.patience(), time.Now()
	ctx, cancel := context.WithTimeoutCause(s.ctx, within, fmt.Errorf("not ready after %v", within))
	defer cancel()
	var l leaders
	var err error
	for again := true; again; { // as long as brokers answer that it is not the time yet
		c := s.client()
		stop := c.unless(ctx)
		if err = s.t.ensure(ctx, c, s.topic); err == nil {
			_, err = s.t.inspect(c, s.topic)
		}
		if err == nil {
			s.id, err = c.identity(s.topic)
		}
		if err == nil {
			l, err = s.layout(ctx)
		}
		if err == nil { // who may not write it would read the same messages again and again
			places := s.places(true)
			s.note(places) // also where nothing was read yet: what is deleted from now on is missed
			if err = s.commit(ctx, places); strangers(err) {
				err = nil
			}
		}
		stop()
		again = err != nil && (c.isCut() || passes(err)) && pause.For(ctx, retry)
	}
	if ctx.Err() != nil {
		err = because(ctx, err)
	}
	s.t.waited(time.Since(began), err)
	switch {
	case s.ctx.Err() != nil:
		err = context.Cause(s.ctx)
	case errors.Is(err, wire.ErrReplaced):
	case err != nil:
		err = s.explain(err)
	default:
		return l, nil
	}
	s.end(err)
	s.wg.Wait() // for partitions that were begun
	return nil, err
}

// run reads until ctx ends, or until there is trouble that lasts, and leaves everything in order.
func (s *subscription) run(l leaders) {
	s.wg.Go(s.keep)
	budget := s.t.patience()
	left, leave := context.WithCancel(context.Background())
	defer leave()
	unlink := context.AfterFunc(s.ctx, func() {
		hangs := time.AfterFunc(budget, s.t.cutCommon)
		context.AfterFunc(left, func() { hangs.Stop() })
	})
	if err := s.read(l); err != nil {
		s.end(trouble{s.explain(err)})
	}
	s.wg.Wait()
	for empty := false; !empty; { // of messages that nobody took
		select {
		case <-s.out:
		default:
			empty = true
		}
	}
	s.leave()
	unlink()
}

// client is for everything but fetching. Whoever uses it for long asks again.
func (s *subscription) client() *client { return s.t.common() }

// leave writes the last places, and tells what ended s when nobody else does.
func (s *subscription) leave() {
	budget, why := s.t.patience(), context.Cause(s.ctx)
	_, troubled := why.(trouble)
	if troubled {
		budget /= 6 // it is likely to fail
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), budget)
	defer cancel()
	defer s.client().unless(ctx)()
	places := s.places(false)
	s.note(places)
	var err error
	if len(places) > 0 && !errors.Is(why, wire.ErrReplaced) {
		err = s.commit(ctx, places)
	}
	select {
	case <-s.ready: // Subscribe has returned
	default:
		return
	}
	log := s.t.cfg.Logger.With("topic", s.topic, "group", s.group)
	switch {
	case troubled:
		log.Warn("kafka: stopped reading", "err", why)
	case err != nil:
		log.Warn("kafka: could not write the last place: some messages will be delivered again", "err", err)
	}
}

// keep writes places to Kafka while s lasts.
func (s *subscription) keep() {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	var members oncelog.Problem // others are members of the group
	looked := time.Now()
	for all := time.Now(); ; {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		wire.Report(s.ctx, s.waits())
		every := time.Since(all) >= keepEvery
		places := s.places(every)
		if len(places) == 0 && time.Since(looked) < lookEvery {
			continue
		}
		looked = time.Now()
		s.note(places)
		ctx, cancel := context.WithTimeoutCause(s.ctx, s.t.patience(), fmt.Errorf("gave up after %v", s.t.patience()))
		err := s.hold(ctx, places)
		cancel()
		s.t.waited(time.Since(looked), err)
		if strangers(err) {
			if members.Failed(time.Now()) > 0 {
				s.t.cfg.Logger.Warn("kafka: cannot write the place, and reads on: what comes now will be delivered again some time",
					"topic", s.topic, "group", s.group, "err", s.explain(err))
			}
			continue
		}
		if err != nil {
			if !errors.Is(err, wire.ErrReplaced) {
				err = s.explain(err)
			}
			s.end(trouble{err}) // what is acknowledged must not pile up unwritten
			return
		}
		if every {
			all = time.Now()
		}
	}
}

// waits is what an open transaction of another program holds up, once that is open for some time; nil for nothing.
func (s *subscription) waits() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.partitions)) {
		if w := s.partitions[id].held.Load(); w != nil && time.Since(w.since) >= s.t.cfg.patience {
			return fmt.Errorf("topic %[1]s, partition %[2]d: offsets %[3]d to %[4]d wait for a transaction of another program, open since %[5]s at least: end it there, or with kafka-transactions.sh --bootstrap-server %[6]s abort --topic %[1]s --partition %[2]d --start-offset %[3]d",
				s.topic, id, w.from, w.high-1, w.since.UTC().Format(time.RFC3339), strings.Join(s.t.cfg.Brokers, ","))
		}
	}
	return nil
}

// hold writes places, unless another process has taken over.
func (s *subscription) hold(ctx context.Context, places map[int32]int64) error {
	all := s.places(true)
	if len(all) == 0 {
		return nil
	}
	now, err := s.committed(ctx, slices.Collect(maps.Keys(all)))
	if err != nil {
		return err
	}
	if err := s.claim(now, false); err != nil {
		return err
	}
	for _, k := range now {
		if k.ours && !s.t.self.Wrote(k.mark) { // an older process wrote, which has not seen yet that we are there
			places = all
		}
	}
	if len(places) == 0 {
		return nil
	}
	return s.commit(ctx, places)
}

// explain adds to err what somebody can do about it.
func (s *subscription) explain(err error) error { return s.t.explain(err, s.topic, "READ") }

// places are those that moved, or all. What begins elsewhere has none until that is acknowledged: a process that ends before tells it
// again.
func (s *subscription) places(all bool) map[int32]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	places := map[int32]int64{}
	for id, p := range s.partitions {
		if at := p.at.Load(); p.told.Load() && (all || at != p.kept) {
			places[id] = at
		}
	}
	return places
}

func (s *subscription) partition(id int32) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions[id]
}

// reached notes that a partition was read for the first time.
func (s *subscription) reached() {
	if s.unknown.Add(-1) == 0 {
		s.once.Do(func() { close(s.ready) })
	}
}

// passes reports whether err says that the next try may succeed: a broker answers that it is not the time yet, or another subscription
// had the shared client give up the connection that this one had asked for.
func passes(err error) bool {
	var answer sarama.KError
	return errors.As(err, &answer) && !refused(err) || errors.Is(err, sarama.ErrNotConnected)
}
