package bustest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// rest waits until every goroutine waits for time to pass.
func (c *core) rest() {
	if !c.realTime {
		synctest.Wait()
	}
}

// shutdown ends all processes, and fails the test on an error.
func (c *core) shutdown() {
	if err := c.halt(); err != nil {
		c.t.Errorf("bustest: stop: %v", err)
	}
}

// The time after which Quiet gives up, in virtual and in real time.
const (
	patience     = 366 * 24 * time.Hour
	realPatience = 30 * time.Second
)

// Quiet waits until no event is ready, in flight or waiting for a retry. Virtual time passes as needed. With several
// deployables, sent events must also have arrived at the other deployables. After a year of virtual time or 30 s of
// real time, Quiet fails the test with the unfinished work.
func (c *core) Quiet() {
	c.t.Helper()
	if c.sched != nil {
		c.sched.ask(&wish{})
		return
	}
	limit := patience
	if c.realTime {
		limit = realPatience
	}
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	defer cancel()
	defer c.store.whenStuck(cancel)()
	c.rest()
	for {
		for _, l := range c.lives() {
			if err := l.Store.Quiet(ctx); err != nil {
				c.t.Fatalf("not quiet after %s: %s: %s", c.store.after(limit), l.deployable.name, c.busy(l))
			}
		}
		missing, err := c.onTheWay()
		switch {
		case err != nil:
			c.t.Fatalf("bustest: %v", err)
		case missing == "":
			c.rest()
			return
		case ctx.Err() != nil:
			c.t.Fatalf("not quiet after %v: %s", limit, missing)
		}
		time.Sleep(lookAgain)
		c.rest()
	}
}

// lookAgain is the pause between two looks for events in flight between deployables.
const lookAgain = 2 * time.Millisecond

// unrest returns nil if the system is quiet, and otherwise a function that describes the unfinished work.
func (c *core) unrest() (why func() string, err error) {
	for _, l := range c.lives() {
		if !l.Backlog().Quiet() {
			return func() string { return c.busy(l) }, nil
		}
	}
	missing, err := c.onTheWay()
	if missing == "" {
		return nil, err
	}
	return func() string { return missing }, err
}

// onTheWay describes an event in flight between deployables or a busy deployable, or returns "" if all events have
// arrived. Since deployables work on in the meantime, onTheWay looks twice: no work may be unfinished after the first
// look, and the second look must find no new events.
func (c *core) onTheWay() (string, error) {
	lives := c.lives()
	if len(lives) == 1 {
		return "", nil
	}
	if _, err := c.look(lives); err != nil {
		return "", err
	}
	for _, from := range lives {
		for _, to := range lives {
			if missing := from.missingAt(to); missing != nil {
				return fmt.Sprintf("%s %s of %s has not arrived at %s",
					missing.Type, missing.Key, from.deployable.name, to.deployable.name), nil
			}
		}
	}
	for _, l := range lives {
		if !l.Backlog().Quiet() {
			return l.deployable.name + " is busy", nil
		}
	}
	more, err := c.look(lives)
	if more {
		return "new events have come", err
	}
	return "", err
}

// look reads the new events of the processes since the last call, and reports whether there were any.
func (c *core) look(lives []*life) (more bool, err error) {
	for _, l := range lives {
		err := l.Events(c.ctx, l.last, func(e *journal.Event) error {
			l.has[e.ID], l.last, more = true, e.Seq, true
			if l.deployable.runs(e.Source) {
				l.sends = append(l.sends, e)
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return more, nil
}

// missingAt returns an event that l sends and that has not arrived at its consumer, or nil.
func (l *life) missingAt(to *life) *journal.Event {
	if l == to {
		return nil
	}
	for _, e := range l.sends {
		if to.consumersOf(e.Type).local && !to.has[e.ID] {
			return e
		}
	}
	return nil
}

// busy describes the unfinished work of a process.
func (c *core) busy(l *life) string {
	b := l.Backlog()
	text := fmt.Sprintf("%d ready, %d in flight, %d retrying, %d blocked", b.Ready, b.InFlight, b.Retrying, b.Blocked)
	flows, err := l.Flows(c.ctx)
	if err != nil {
		return text + ": " + err.Error()
	}
	for _, f := range flows {
		for _, e := range f.Events {
			for _, r := range e.Reactions {
				if !r.Outcome.Final() {
					text += fmt.Sprintf("\n  %s of %s %s: %s, %d attempts %s",
						r.Subscription, e.Type, e.Key, r.Outcome, r.Attempts, r.Error)
				}
			}
		}
	}
	return text
}

// Flows returns every recorded flow, in the order of their beginnings. With several deployables, Flows returns the view
// of an observer of all deployables: each event once, with the reactions of all.
func (c *core) Flows() ([]*journal.Flow, error) {
	lives := c.lives()
	if len(lives) == 1 {
		return lives[0].Flows(c.ctx)
	}
	joined := map[string]*journal.Flow{}
	for _, l := range lives {
		flows, err := l.Flows(c.ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range flows {
			if joined[f.ID] == nil {
				joined[f.ID] = &journal.Flow{ID: f.ID}
			}
			l.join(joined[f.ID], f)
		}
	}
	var all []*journal.Flow
	for _, f := range joined {
		slices.SortFunc(f.Events, func(a, b journal.FlowEvent) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Hops, b.Hops),
				cmp.Compare(a.Source, b.Source), cmp.Compare(a.Seq, b.Seq))
		})
		slices.SortFunc(f.Delayed, func(a, b journal.DelayedEvent) int {
			return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
		})
		for i := range f.Events {
			slices.SortFunc(f.Events[i].Reactions, func(a, b journal.Reaction) int {
				return cmp.Compare(a.Subscription, b.Subscription)
			})
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *journal.Flow) int {
		return cmp.Or(began(a).Compare(began(b)), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// began returns the time of f's first event, or the zero time if all events are delayed.
func began(f *journal.Flow) time.Time {
	if len(f.Events) == 0 {
		return time.Time{}
	}
	return f.Events[0].Time
}

// join adds l's knowledge about a flow. An event keeps the seq of the journal that emitted the event, because ids have
// no order.
func (l *life) join(to, from *journal.Flow) {
	to.Delayed = append(to.Delayed, from.Delayed...)
	for _, e := range from.Events {
		at := slices.IndexFunc(to.Events, func(known journal.FlowEvent) bool {
			return known.ID == e.ID && known.Type == e.Type
		})
		if at < 0 {
			to.Events = append(to.Events, e)
			continue
		}
		if l.deployable.runs(e.Source) {
			to.Events[at].Seq = e.Seq
		}
		to.Events[at].Reactions = append(to.Events[at].Reactions, e.Reactions...)
	}
}
