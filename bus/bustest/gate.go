package bustest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// Subscribe implements journal.Journal. Deliveries to external handlers pass the gate, too.
func (l *life) Subscribe(ctx context.Context, subs []journal.Subscription) (map[string]message.Subscriber, error) {
	l.core.seen.declare(subs)
	out, err := l.Store.Subscribe(ctx, subs)
	if err != nil {
		return nil, err
	}
	for _, s := range subs {
		if s.Outside && !s.Elsewhere {
			out[s.Name] = &gated{Subscriber: out[s.Name], life: l}
		} else if !s.Elsewhere && l.core.stepped() {
			out[s.Name] = &clocked{out[s.Name], l}
		}
	}
	return out, nil
}

type handedKey struct{}

// handed is one run of an external handler.
type handed struct{ life *life }

// gated holds messages back until their turn.
type gated struct {
	message.Subscriber
	life *life
}

// Subscribe implements message.Subscriber.
func (g *gated) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := g.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		var waiting sync.WaitGroup
		defer waiting.Wait()
		for msg := range in {
			waiting.Go(func() { g.hand(msg, out) })
		}
	}()
	return out, nil
}

// hand passes msg on at its turn, twice if the scheduler says so.
func (g *gated) hand(msg *message.Message, out chan<- *message.Message) {
	d := journal.FromContext(msg.Context())
	g.life.remember(d.Event)
	st := newStep(stepDeliver, d.Subscription)
	st.about, st.gone = d.Event, g.life.stops
	decided, err := g.life.pass(st)
	close(st.done)
	if err != nil {
		return
	}
	if g.life.core.stepped() {
		g.life.copyDelivery(msg)
	}
	again := msg.Copy()
	again.SetContext(context.WithValue(msg.Context(), handedKey{}, &handed{g.life}))
	msg.SetContext(context.WithValue(msg.Context(), handedKey{}, &handed{g.life}))
	out <- msg // from here on, msg belongs to the Router
	if decided == faultTwice {
		out <- again
	}
}

// React implements journal.Journal.
func (l *life) React(
	ctx context.Context, d *journal.Delivery, w journal.Work, run func(journal.TxFunc) journal.Verdict,
) error {
	l.remember(d.Event)
	st := newStep(stepReact, d.Subscription)
	defer close(st.done)
	st.about, st.attempt = d.Event, d.Attempt
	decided, err := l.pass(st)
	if err != nil {
		return err
	}
	if l.core.stepped() {
		d.Ahead = l.core.off()
	}
	var v journal.Verdict
	once := func() error {
		return l.Store.React(ctx, d, w, func(tx journal.TxFunc) journal.Verdict {
			v = l.twice(tx, w, d, run)
			l.stamp(&v)
			switch decided {
			case faultCrashBefore:
				l.die()
				v.Abort = journal.ErrClosed
			case faultRefused:
				v.Abort = errRefused
			}
			return v
		})
	}
	err = once()
	if decided != faultRefused {
		l.core.store.note(err)
	}
	if err == nil {
		checked := l.core.sched != nil && l.core.without&Unheard == 0
		if run, ok := ctx.Value(handedKey{}).(*handed); ok && checked && v.Outcome == journal.Done {
			l.core.world.swallowed(run, d)
		}
		l.core.seen.react(d, &v)
		if v.Outcome == journal.Dead {
			l.core.died.Store(true)
		}
	}
	if err == nil && decided == faultTwice {
		err = once()
	}
	if decided == faultCrashAfter {
		l.die()
	}
	if l.isDead() {
		return journal.ErrClosed
	}
	return err
}

// Do implements journal.Journal.
func (l *life) Do(ctx context.Context, w journal.Work, run func(journal.TxFunc) ([]*journal.Event, error)) error {
	if decided := l.arriving.Load(); decided != nil && w.Module == "" { // the ingest: part of the message's step
		return l.do(ctx, w, *decided, run)
	}
	st := newStep(stepDo, w.Name)
	defer close(st.done)
	st.module = w.Module
	if d := bus.Delivery(ctx); d.EventID != "" {
		st.about = l.eventOf(d.EventID)
	} else {
		st.asks(ctx)
	}
	st.keyed = w.Once != nil && ctx.Value(requestKey{}) != nil
	decided, err := l.pass(st)
	if err != nil {
		return err
	}
	if err := l.do(ctx, w, decided, run); err != nil || decided != faultLoses {
		return err
	}
	return errLost
}

func (l *life) do(
	ctx context.Context, w journal.Work, decided fault, run func(journal.TxFunc) ([]*journal.Event, error),
) error {
	err := l.Store.Do(ctx, w, func(tx journal.TxFunc) ([]*journal.Event, error) {
		out, err := l.unitTwice(tx, w, run)
		switch {
		case err != nil:
		case decided == faultCrashBefore:
			l.die()
			err = journal.ErrClosed
		case decided == faultRefused:
			err = errRefused
		}
		return out, err
	})
	if decided == faultCrashAfter {
		l.die()
	}
	if l.isDead() {
		return journal.ErrClosed
	}
	return err
}

// pass waits for the turn of st, and returns the fault of st. If the process has died in the meantime, pass returns
// journal.ErrClosed.
func (l *life) pass(st *step) (fault, error) {
	st.life = l
	if l.isDead() {
		return faultNone, journal.ErrClosed
	}
	if l.core.sched == nil {
		return faultNone, nil
	}
	f := l.core.sched.await(st)
	if f == faultDead {
		return faultNone, journal.ErrClosed
	}
	l.core.seen.fault(st, f)
	return f, nil
}

// errRefused is the error of a store that refuses a commit because the schedule wants a refusal. The disk has no part
// of the work.
var errRefused = fmt.Errorf("%w: bustest: the store refuses the commit", journal.ErrUnavailable)

// errLost is the error of a unit of work that is done under an idempotency key, but whose answer does not reach the
// client.
var errLost = fmt.Errorf("%w: bustest: the answer was lost", journal.ErrUnknown)

// unitTwice runs a unit of work, undoes the changes, and runs the unit again on the same state. The journal does the
// same when a group must be written again. Changes outside of the transaction, such as in a variable, happen twice and
// so become visible to the test.
func (l *life) unitTwice(
	tx journal.TxFunc, w journal.Work, run func(journal.TxFunc) ([]*journal.Event, error),
) ([]*journal.Event, error) {
	if w.Module == "" || l.core.without&Again != 0 {
		return run(tx)
	}
	if _, err := tx().Exec("SAVEPOINT bustest"); err != nil {
		return run(tx)
	}
	out, err := run(tx)
	if err != nil {
		return out, err
	}
	if _, err := tx().Exec("ROLLBACK TO bustest"); err != nil {
		return out, nil //nolint:nilerr // the journal detects the state of the transaction
	}
	out, err = run(tx)
	if _, failed := tx().Exec("RELEASE bustest"); failed != nil {
		l.core.fault("%s ended its own transaction: %v", w.Name, failed)
	}
	return out, err
}

// runAgain is the common text of the faults that twice finds.
const runAgain = "run again on the same state"

// twice runs a reaction, undoes the changes, and runs the reaction again on the same state a moment later. The emitted
// events must not differ. A difference comes from outside of the state: the clock, chance, the order of a map, or the
// memory of the process.
func (l *life) twice(
	tx journal.TxFunc, w journal.Work, d *journal.Delivery, run func(journal.TxFunc) journal.Verdict,
) journal.Verdict {
	if w.Module == "" || l.core.without&Again != 0 { // settled before: no handler runs
		return run(tx)
	}
	if _, err := tx().Exec("SAVEPOINT bustest"); err != nil {
		return run(tx)
	}
	first := run(tx)
	if first.Outcome != journal.Done {
		return first // the journal undoes the changes
	}
	if _, err := tx().Exec("ROLLBACK TO bustest"); err != nil {
		return first
	}
	time.Sleep(l.core.gap)
	second := run(tx)
	if _, err := tx().Exec("RELEASE bustest"); err != nil {
		l.core.fault("%s ended its own transaction: %v", d.Subscription, err)
	}
	if difference := differs(&first, &second); difference != "" {
		l.core.fault("%s, %s, %s", d.Subscription, runAgain, difference)
	}
	return second
}

// differs describes the difference between two verdicts, or returns "".
func differs(a, b *journal.Verdict) string {
	switch {
	case a.Outcome != b.Outcome:
		return fmt.Sprintf("was %s, and then %s: %s", a.Outcome, b.Outcome, b.Err)
	case len(a.Emit) != len(b.Emit):
		return fmt.Sprintf("emitted %d events, and then %d", len(a.Emit), len(b.Emit))
	}
	for i, e := range a.Emit {
		o := b.Emit[i]
		switch {
		case e.Timer != o.Timer:
			return fmt.Sprintf("named a delayed event %q, and then %q", e.Timer, o.Timer)
		case e.Type != o.Type || e.Key != o.Key || e.Version != o.Version:
			return fmt.Sprintf("emitted %s %s, and then %s %s%s", e.Type, e.Key, o.Type, o.Key, useInstead)
		case !bytes.Equal(e.Data, o.Data):
			return fmt.Sprintf("emitted %s %s, and then %s%s", e.Type, shown(e), shown(o), useInstead)
		case delay(e) != delay(o) && !e.Due.Equal(o.Due):
			return fmt.Sprintf("delayed %s by %v, and then by %v: use bus.At for a due time", e.Type, delay(e), delay(o))
		}
	}
	return ""
}

// shown returns the payload of e for people.
func shown(e *journal.Event) string {
	r := journal.NewEventRecord(e)
	return cmp.Or(r.Payload(), string(e.Data))
}

// useInstead ends the messages about events that differ.
const useInstead = ": use bus.Now(ctx) for a time, and bus.NewID(ctx) for an id"

func delay(e *journal.Event) time.Duration {
	if e.Due.IsZero() {
		return 0
	}
	return e.Due.Sub(e.Time)
}

// remember keeps the event of a delivery.
func (l *life) remember(e *journal.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delivered[e.ID] == nil {
		l.delivered[e.ID] = e
	}
}

func (l *life) eventOf(id string) *journal.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delivered[id]
}
