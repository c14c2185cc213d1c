package bustest

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// clockSteps are by how much Explore sets the clock forward and back.
var clockSteps = []time.Duration{time.Hour, -time.Hour, 25 * time.Hour, -25 * time.Hour}

// StepClock sets the machine's wall clock forward by d, or back when d is negative. No time passes, and no timer ends by that: what
// is due by the wall clock is due when the system has looked at it. In Explore, which must have Clocks in Exploration.With, that
// look is a step.
//
// time.Now goes on as before: the step shows in World.Now, in when the journal has something done, and in how old the events are
// that handlers get (bus.Delivery).
func (c *core) StepClock(d time.Duration) {
	c.t.Helper()
	if !c.stepped() {
		c.t.Fatalf("bustest: StepClock in Explore: say Exploration{With: bustest.Clocks}")
	}
	c.offset.Add(int64(d))
	for _, l := range c.alive() {
		if c.sched != nil {
			l.willLook()
		} else if err := l.Look(c.ctx); err != nil {
			c.t.Errorf("bustest: look at the clock: %v", err)
		}
	}
	if c.sched == nil {
		c.rest()
	}
}

// Now returns the time of the machine's wall clock, with the steps that it made. A system whose modules ask the clock that their
// wiring gives them is tested under steps when Wire gives them this.
func (w *World) Now() time.Time { return w.core.now() }

// now is the wall clock of the machine.
func (c *core) now() time.Time { return time.Now().Round(0).Add(c.off()) }

// off is by how much the wall clock is ahead of time.Now.
func (c *core) off() time.Duration { return time.Duration(c.offset.Load()) }

// stepped reports whether the clock may be stepped in this run.
func (c *core) stepped() bool { return c.sched == nil || c.without&Clocks == 0 }

// move is what may happen in place of a step: time passes, or the clock is stepped.
type move struct{ pass, step time.Duration }

// movesOf are the moves of a run. The first is none.
func movesOf(without Part) []move {
	moves := []move{{}}
	if without&Pauses == 0 {
		for _, p := range pauses {
			moves = append(moves, move{pass: p})
		}
	}
	if without&Clocks == 0 {
		for _, d := range clockSteps {
			moves = append(moves, move{step: d})
		}
	}
	return moves
}

// make has m happen while oldest waits.
func (s *scheduler) make(m move, oldest *step) {
	if m.pass > 0 {
		s.tellStory("%v pass while %s waits", m.pass, oldest)
		s.note("clock", m.pass.String())
		time.Sleep(m.pass)
		return
	}
	way, by := "forward", m.step
	if by < 0 {
		way, by = "back", -by
	}
	s.tellStory("the clock is set %s by %v while %s waits", way, by, oldest)
	s.noteForAll("clock", "set "+way+" by "+by.String())
	s.core.StepClock(m.step)
}

// clocked hands out deliveries of transactional subscriptions whose events' times can be set.
type clocked struct {
	message.Subscriber
	life *life
}

// Subscribe implements message.Subscriber.
func (c *clocked) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := c.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for msg := range in {
			c.life.own(msg)
			out <- msg
		}
	}()
	return out, nil
}

// own gives msg a delivery of its own, with an event of its own.
func (l *life) own(msg *message.Message) {
	d := *journal.FromContext(msg.Context())
	l.about(d.Event)
	e := *d.Event
	d.Event = &e
	msg.SetContext(journal.NewContext(msg.Context(), &d))
	l.age(&d)
}

// age sets how old the event of a delivery is by time.Now, when the wall clock was stepped since it came about.
func (l *life) age(d *journal.Delivery) {
	if known := l.eventOf(d.Event.ID); known != nil && known != d.Event {
		d.Event.Time = known.Time.Add(-l.core.off())
	}
}

// stamp makes times of the wall clock of what a verdict has by time.Now.
func (l *life) stamp(v *journal.Verdict) {
	off := l.core.off()
	if off == 0 {
		return
	}
	if !v.RetryAt.IsZero() {
		v.RetryAt = v.RetryAt.Add(off)
	}
	v.Started = v.Started.Add(off)
	l.stampAll(v.Emit)
}

// stampAll does so with events that have just been made.
func (l *life) stampAll(events []*journal.Event) {
	off := l.core.off()
	for _, e := range events {
		e.Time = e.Time.Add(off)
		if !e.Due.IsZero() {
			e.Due = e.Due.Add(off)
		}
	}
}

// drawMove is which draw decides among the moves.
func (s *scheduler) drawMove() drawKind {
	if s.without&Clocks == 0 {
		return drawClock
	}
	return drawPause
}
