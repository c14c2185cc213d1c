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
	// buffered is how many messages of all partitions may wait for the subscriber.
	buffered = 256
	// commitEvery is the time between two commits of positions that moved.
	commitEvery = time.Second
	// lookEvery is the time between two looks for another process that has taken over, while there is nothing to commit.
	lookEvery = 5 * time.Second
	// keepEvery is the time between two commits of all positions: Kafka deletes an offset after a week without commit.
	keepEvery = time.Hour
)

// subscription reads all partitions of a topic.
//
// It is not a member of a consumer group. A group divides the partitions among its members, but a journal belongs to a
// single process and must see all partitions: a second member would silently take half of the events away. A group also
// makes its members wait: for others to join, for the session of a killed member, for each rebalance.
//
// A subscription runs in laps (lap.go). During a lap, the leaders stay the same, and each has a fetcher. After any
// error the lap ends, and the next lap begins with new metadata.
type subscription struct {
	t      *Transport
	topic  string
	group  string // name under which the positions are stored
	out    chan *message.Message
	id     string         // identity of the topic; may be empty
	memory journal.Memory // may be nil
	held   budget         // bytes that are delivered and not acknowledged

	ctx  context.Context
	end  context.CancelCauseFunc // with the reason
	wg   sync.WaitGroup          // of the partitions and of commitLoop
	done chan struct{}           // closed last

	mu         sync.Mutex
	partitions map[int32]*partition // only grows

	unknown atomic.Int32  // number of partitions that were never fetched
	ready   chan struct{} // closed when unknown is zero
	once    sync.Once
}

// subscribe releases the reservation of topic and group before the channel closes, or before it returns an error.
func (t *Transport) subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	s := &subscription{
		t: t, topic: topic, group: group, memory: wire.MemoryOf(ctx),
		out: make(chan *message.Message, buffered), done: make(chan struct{}),
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

// start finds the positions at which to begin.
func (s *subscription) start() (leaders, error) {
	within, began := 2*s.t.patience(), time.Now()
	ctx, cancel := context.WithTimeoutCause(s.ctx, within, fmt.Errorf("not ready after %v", within))
	defer cancel()
	var l leaders
	var err error
	for retrying := true; retrying; { // while brokers answer that they are not ready
		c := s.client()
		stop := c.cutIfHanging(ctx)
		if err = s.t.ensure(ctx, c, s.topic); err == nil {
			_, err = s.t.inspect(c, s.topic)
		}
		if err == nil {
			s.id, err = c.identity(s.topic)
		}
		if err == nil {
			l, err = s.layout(ctx)
		}
		if err == nil { // without the right to commit, each start would read the same messages again
			positions := s.positions(true)
			s.note(positions) // also where nothing was read yet, so that the loss of messages deleted from now on is noticed
			if err = s.commit(ctx, positions); hasMembers(err) {
				err = nil
			}
		}
		stop()
		retrying = err != nil && (c.isCut() || retryable(err)) && pause.For(ctx, retry)
	}
	if ctx.Err() != nil {
		err = withCause(ctx, err)
	}
	s.t.waited(s.ctx, time.Since(began), err)
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

// run reads until ctx ends or a problem lasts, and then commits the last positions.
func (s *subscription) run(l leaders) {
	s.wg.Go(s.commitLoop)
	budget := s.t.patience()
	left, leave := context.WithCancel(context.Background())
	defer leave()
	unlink := context.AfterFunc(s.ctx, func() {
		hangs := time.AfterFunc(budget, s.t.cutCommon)
		context.AfterFunc(left, func() { hangs.Stop() })
	})
	if err := s.read(l); err != nil {
		s.end(failure{s.explain(err)})
	}
	s.wg.Wait()
	for empty := false; !empty; { // drop undelivered messages
		select {
		case <-s.out:
		default:
			empty = true
		}
	}
	s.finish()
	unlink()
}

// client returns the client for everything but fetching. Callers do not keep the client, as it may be replaced.
func (s *subscription) client() *client { return s.t.common() }

// finish commits the last positions, and logs an error that ended s.
func (s *subscription) finish() {
	budget, why := s.t.patience(), context.Cause(s.ctx)
	_, failed := why.(failure)
	if failed {
		budget /= 6 // likely to fail
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), budget)
	defer cancel()
	defer s.client().cutIfHanging(ctx)()
	positions := s.positions(false)
	s.note(positions)
	var err error
	if len(positions) > 0 && !errors.Is(why, wire.ErrReplaced) {
		err = s.commit(ctx, positions)
	}
	select {
	case <-s.ready: // Subscribe has returned
	default:
		return
	}
	log := s.t.cfg.Logger.With("topic", s.topic, "group", s.group)
	switch {
	case failed:
		log.Warn("kafka: stopped reading", "err", why)
	case err != nil:
		log.Warn("kafka: cannot commit the last offsets: some messages will be delivered again", "err", err)
	}
}

// commitLoop commits positions to Kafka until s ends.
func (s *subscription) commitLoop() {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	var members oncelog.Problem // the group has active members
	looked := time.Now()
	for all := time.Now(); ; {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		wire.Report(s.ctx, s.openTransaction())
		every := time.Since(all) >= keepEvery
		positions := s.positions(every)
		if len(positions) == 0 && time.Since(looked) < lookEvery {
			continue
		}
		looked = time.Now()
		s.note(positions)
		ctx, cancel := context.WithTimeoutCause(s.ctx, s.t.patience(), fmt.Errorf("gave up after %v", s.t.patience()))
		err := s.commitIfCurrent(ctx, positions)
		cancel()
		s.t.waited(s.ctx, time.Since(looked), err)
		if hasMembers(err) {
			if members.Failed(time.Now()) > 0 {
				s.t.cfg.Logger.Warn("kafka: cannot commit offsets, reading goes on: messages from now on will be delivered again",
					"topic", s.topic, "group", s.group, "err", s.explain(err))
			}
			continue
		}
		if err != nil {
			if !errors.Is(err, wire.ErrReplaced) {
				err = s.explain(err)
			}
			s.end(failure{err}) // otherwise acknowledged messages pile up without a commit
			return
		}
		if failures, lasted := members.Over(time.Now()); failures > 0 {
			s.t.cfg.Logger.Info("kafka: commits offsets again", "topic", s.topic, "group", s.group, "failures", failures, "lasted", lasted)
		}
		if every {
			all = time.Now()
		}
	}
}

// openTransaction returns an error when records have waited for another program's open transaction for a while.
func (s *subscription) openTransaction() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.partitions)) {
		if w := s.partitions[id].held.Load(); w != nil && time.Since(w.since) >= s.t.cfg.patience {
			return fmt.Errorf("topic %[1]s, partition %[2]d: offsets %[3]d to %[4]d wait for a transaction of another program, open at least since %[5]s: end the transaction in that program, or with kafka-transactions.sh --bootstrap-server %[6]s abort --topic %[1]s --partition %[2]d --start-offset %[3]d",
				s.topic, id, w.from, w.high-1, w.since.UTC().Format(time.RFC3339), strings.Join(s.t.cfg.Brokers, ","))
		}
	}
	return nil
}

// commitIfCurrent commits positions, unless another process has taken over.
func (s *subscription) commitIfCurrent(ctx context.Context, positions map[int32]int64) error {
	all := s.positions(true)
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
		if k.ours && !s.t.self.Wrote(k.mark) { // an older process committed, and has not noticed this one yet
			positions = all
		}
	}
	if len(positions) == 0 {
		return nil
	}
	return s.commit(ctx, positions)
}

func (s *subscription) explain(err error) error { return s.t.explain(err, s.topic, "READ") }

// positions returns the positions that moved, or all of them. A partition that starts with trouble has no position
// until the trouble is acknowledged: so a process that ends before then reports the trouble again.
func (s *subscription) positions(all bool) map[int32]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	positions := map[int32]int64{}
	for id, p := range s.partitions {
		if at := p.at.Load(); p.startTaken.Load() && (all || at != p.kept) {
			positions[id] = at
		}
	}
	return positions
}

func (s *subscription) partition(id int32) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions[id]
}

// partitionReady notes that a partition was fetched for the first time.
func (s *subscription) partitionReady() {
	if s.unknown.Add(-1) == 0 {
		s.once.Do(func() { close(s.ready) })
	}
}

// retryable reports whether a retry may help: a broker is not ready, or another subscription cut the shared client.
func retryable(err error) bool {
	var answer sarama.KError
	return errors.As(err, &answer) && !permanent(err) || errors.Is(err, sarama.ErrNotConnected)
}
