package bustest

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// clockSteps are the steps by which Explore sets the wall clock.
var clockSteps = []time.Duration{time.Hour, -time.Hour, 25 * time.Hour, -25 * time.Hour}

// StepClock sets the machine's wall clock forward by d, or back if d is negative. No time passes, and no timer ends.
// Work that is due by the wall clock starts when the system has looked at the clock. In Explore, this look is a step,
// and Exploration.With must contain Clocks.
//
// time.Now does not change: the step shows in World.Now, in the journal's decisions about due work, and in the age of
// the events in handlers (bus.Delivery).
func (c *core) StepClock(d time.Duration) {
	c.t.Helper()
	if !c.stepped() {
		c.t.Fatalf("bustest: StepClock in Explore needs Exploration{With: bustest.Clocks}")
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

// Now returns the time of the machine's wall clock, including its steps. To test modules under clock steps, let Wire
// give them Now as their clock.
func (w *World) Now() time.Time { return w.core.now() }

// now returns the time of the wall clock.
func (c *core) now() time.Time { return time.Now().Round(0).Add(c.off()) }

// off returns the difference between the wall clock and time.Now.
func (c *core) off() time.Duration { return time.Duration(c.offset.Load()) }

// stepped reports whether this run may step the clock.
func (c *core) stepped() bool { return c.sched == nil || c.without&Clocks == 0 }

// move is an event of the clock in place of a step: time passes, or the wall clock is set.
type move struct{ pass, step time.Duration }

// movesOf returns the possible moves of a run. The first is no move.
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

// make carries out m while oldest waits.
func (s *scheduler) make(m move, oldest *step) {
	if m.pass > 0 {
		s.narrate("%v pass while %s waits", m.pass, oldest)
		s.note("clock", m.pass.String())
		time.Sleep(m.pass)
		return
	}
	way, by := "forward", m.step
	if by < 0 {
		way, by = "back", -by
	}
	s.narrate("the clock is set %s by %v while %s waits", way, by, oldest)
	s.noteForAll("clock", "set "+way+" by "+by.String())
	s.core.StepClock(m.step)
}

// clocked copies the deliveries of transactional subscriptions, so that the kit can set the events' times.
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
			c.life.copyDelivery(msg)
			out <- msg
		}
	}()
	return out, nil
}

// copyDelivery gives msg a copy of its delivery, with the age of its event.
func (l *life) copyDelivery(msg *message.Message) {
	d := *journal.FromContext(msg.Context())
	d.Ahead = l.core.off()
	msg.SetContext(journal.NewContext(msg.Context(), &d))
}

// stamp moves the times in a verdict from time.Now to the wall clock.
func (l *life) stamp(v *journal.Verdict) {
	off := l.core.off()
	if off == 0 {
		return
	}
	if !v.RetryAt.IsZero() {
		v.RetryAt = v.RetryAt.Add(off)
	}
	v.Started = v.Started.Add(off)
}

// drawMove returns the kind of draw for the moves.
func (s *scheduler) drawMove() drawKind {
	if s.without&Clocks == 0 {
		return drawClock
	}
	return drawPause
}
