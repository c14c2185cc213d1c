package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// errSettled: the delivery has its final answer, or another reaction is about to give it.
var errSettled = errors.New("sqlite: delivery is settled")

// errAnswered: the journal has a final answer to the delivery, which memory did not know of. The group is undone.
var errAnswered = errors.New("sqlite: delivery is answered")

// React implements journal.Journal.
func (j *Journal) React(ctx context.Context, d *journal.Delivery, w journal.Work, run func(journal.TxFunc) journal.Verdict) error {
	j.mu.Lock()
	s := j.subs[d.Subscription]
	j.mu.Unlock()
	if s == nil {
		return fmt.Errorf("sqlite: react: unknown subscription %q", d.Subscription)
	}
	f := s.find(d.Event.Seq)
	if f == nil {
		return nil
	}
	var v journal.Verdict
	it := &item{work: w}
	it.run = func(u *unit) error {
		if !f.claim(u.it) {
			return errSettled
		}
		var verdict journal.Verdict
		if err := u.user(func() { verdict = run(u.Tx) }); err != nil {
			return err
		}
		switch {
		case u.failed != nil:
			return u.failed
		case verdict.Abort != nil:
			return verdict.Abort
		case u.hand != nil && verdict.Outcome == journal.Done:
			return failed(u.it, u.hand)
		case u.hand != nil:
			verdict.Err += " (" + u.hand.Error() + ")"
			u.hand = nil // it is told
		}
		verdict.Err, verdict.Stack = journal.Cut(verdict.Err, journal.MaxError), journal.Cut(verdict.Stack, journal.MaxStack)
		if err := s.record(u, d, f.again, &verdict); err != nil {
			return err
		}
		v = verdict
		return nil
	}
	err := j.writer.submit(ctx, it)
	switch {
	case errors.Is(err, errSettled):
		return nil
	case err == nil:
		s.settle(d.Event.Seq, &v)
		return nil
	case errors.Is(err, errAnswered): // nothing of it is on disk, and nothing more is to be done
		s.settle(d.Event.Seq, &journal.Verdict{Outcome: journal.Done})
		return nil
	case errors.Is(err, journal.ErrAbandoned), errors.Is(err, journal.ErrFailed), w.Keep: // the bus decides
		f.claimed.Store(nil)
	default:
		s.refused(d.Event.Seq, troubleDelay)
	}
	return err
}

// record writes the verdict, and what it emits, beside the state changes of the work.
func (s *subscription) record(u *unit, d *journal.Delivery, again bool, v *journal.Verdict) error {
	finish := u.release
	if v.Outcome != journal.Done {
		finish = u.rollback
	}
	if err := finish(); err != nil {
		return err
	}
	k, e := u.w.kept, d.Event
	changed, err := k.answer(again, e.Seq, s.id, string(v.Outcome), int64(d.Attempt), v.Started.UnixMicro(), v.Duration.Microseconds(), nullable(v.Err))
	if err != nil {
		return u.refuse(err)
	}
	if changed == 0 { // claim knows better, unless somebody else wrote here
		return u.refuse(fmt.Errorf("%w: event %d, %s", errAnswered, e.Seq, s.Name))
	}
	if again {
		if err := s.clear(u, e, v.Outcome); err != nil {
			return err
		}
	}
	switch v.Outcome {
	case journal.Done:
		for _, e := range v.Emit {
			if err := u.append(e); err != nil {
				return err
			}
		}
	case journal.Retrying:
		_, _, err = k.pend.exec(s.id, e.Key, e.Seq, "retrying", int64(d.Attempt), v.RetryAt.UnixMicro(), firstFailed(d, v).UnixMicro())
	case journal.Dead:
		err = s.bury(u, d, v)
	}
	return u.refuse(err)
}

// clear removes what an earlier attempt left, now that there is another outcome.
func (s *subscription) clear(u *unit, e *journal.Event, o journal.Outcome) error {
	if _, _, err := u.w.kept.unpend.exec(s.id, e.Key, e.Seq); err != nil {
		return u.refuse(err)
	}
	status := ""
	switch o {
	case journal.Done, journal.Skipped:
		status = "replayed"
	case journal.Dropped:
		status = "dropped"
	default:
		return nil
	}
	_, _, err := u.w.kept.revived.exec(status, s.id, e.Seq)
	return u.refuse(err)
}

// bury keeps the dead letter, and its key parked if the subscription wants that.
func (s *subscription) bury(u *unit, d *journal.Delivery, v *journal.Verdict) error {
	k, e := u.w.kept, d.Event
	s.j.died()
	_, _, err := k.dead.exec(e.Seq, s.id, v.Err, v.Stack, int64(d.Attempt), firstFailed(d, v).UnixMicro(), v.Started.Add(v.Duration).UnixMicro())
	if err == nil && s.Park && e.Key != "" {
		_, _, err = k.pend.exec(s.id, e.Key, e.Seq, "parked", int64(0), int64(0), int64(0))
	}
	return err
}

// firstFailed is when the first attempt of a delivery failed, of which v is the newest.
func firstFailed(d *journal.Delivery, v *journal.Verdict) time.Time {
	if !d.Failed.IsZero() {
		return d.Failed
	}
	return v.Started.Add(v.Duration)
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Do implements journal.Journal.
func (j *Journal) Do(ctx context.Context, w journal.Work, run func(journal.TxFunc) ([]*journal.Event, error)) error {
	return j.writer.submit(ctx, &item{work: w, durable: true, run: func(u *unit) error {
		var events []*journal.Event
		var err error
		if w.Delivery != nil {
			if err := j.mustBeOpen(u, w.Delivery); err != nil {
				return err
			}
		}
		if cut := u.user(func() { events, err = run(u.Tx) }); cut != nil {
			return cut
		}
		switch {
		case u.failed != nil:
			return u.failed
		case err != nil:
			return err
		case u.hand != nil:
			return failed(u.it, u.hand)
		}
		if err := u.release(); err != nil {
			return err
		}
		for _, e := range events {
			if err := u.append(e); err != nil {
				return err
			}
		}
		return nil
	}})
}

// mustBeOpen is an error when d has its final answer. On the disk, only a delivery that has rows there can have got one without
// its subscription: what others did with it is in these rows before memory hears of it.
func (j *Journal) mustBeOpen(u *unit, d *journal.Delivery) error {
	j.mu.Lock()
	s := j.subs[d.Subscription]
	j.mu.Unlock()
	var f *flight
	if s != nil {
		f = s.find(d.Event.Seq)
	}
	outcome := ""
	if f != nil && f.again {
		err := u.tx.QueryRow("SELECT outcome FROM deliveries WHERE seq = ? AND subscription = ?", d.Event.Seq, s.id).Scan(&outcome)
		if err != nil {
			return u.refuse(err)
		}
	}
	if o := journal.Outcome(outcome); f == nil || outcome != "" && o != journal.Retrying && o != journal.Blocked {
		return fmt.Errorf("%w: the delivery of event %s to %s has its answer (%s)", journal.ErrAbandoned, d.Event.ID, d.Subscription, cmp.Or(outcome, "settled"))
	}
	return nil
}

// Backlog implements journal.Journal.
func (j *Journal) Backlog() journal.Backlog {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b journal.Backlog
	for _, s := range j.subs {
		left := s.backlog()
		b.Ready += left.Ready
		b.InFlight += left.InFlight
		b.Retrying += left.Retrying
		b.Blocked += left.Blocked
	}
	return b
}

// Quiet implements journal.Journal.
func (j *Journal) Quiet(ctx context.Context) error {
	for {
		changed := j.quiet.wait()
		if j.Backlog().Quiet() {
			return j.sync.wait(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// settled tells those who wait for quiet that there may be less to do.
func (j *Journal) settled() { j.quiet.tell() }

// broadcast wakes everybody who waits. Telling costs one atomic load while nobody does.
type broadcast struct {
	waited atomic.Bool
	mu     sync.Mutex
	ch     chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	b.waited.Store(true)
	return b.ch
}

func (b *broadcast) tell() {
	if !b.waited.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
	b.waited.Store(false)
}

// busSubscriber is the Watermill face of a subscription. Closing it stops the deliveries.
type busSubscriber struct {
	s      *subscription
	once   sync.Once
	cancel context.CancelFunc
	ended  chan struct{}
}

// Subscribe starts the deliveries. The topic is for the Router's own records: what is delivered was declared before.
func (b *busSubscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	err := error(nil)
	started := false
	b.once.Do(func() {
		started = true
		j := b.s.j
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.closing {
			err = journal.ErrClosed
			return
		}
		ctx, b.cancel = context.WithCancel(ctx)
		stop := context.AfterFunc(j.ctx, b.cancel)
		b.ended = make(chan struct{})
		j.running.Go(func() {
			defer close(b.ended)
			defer stop()
			b.s.run(ctx)
		})
	})
	if !started {
		return nil, fmt.Errorf("sqlite: %s is running already", b.s.Name)
	}
	return b.s.out, err
}

// Close stops the deliveries and waits until no more can come.
func (b *busSubscriber) Close() error {
	if b.cancel != nil {
		b.cancel()
		<-b.ended
	}
	return nil
}
