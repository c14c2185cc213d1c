package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/internal/eventid"
	"github.com/troupebus/troupe/bus/internal/guard"
	"github.com/troupebus/troupe/bus/internal/schedule"
	"github.com/troupebus/troupe/bus/journal"
)

// Schedule emits events at due times. Call its methods before Run.
type Schedule struct {
	module  *Module
	name    string
	spec    string
	times   schedule.Times
	missed  schedule.Missed
	emits   map[string]bool
	event   func(t time.Time) Event
	wiredAt string
}

// Every adds a schedule of m: at each due time the bus calls fn, and emits the returned event, or nothing for nil. The
// name is durable, and unique among the schedules and subscriptions of the module.
//
// The spec is a duration, such as 15m, whose multiples count from midnight UTC or longer ago; or a cron specification
// of minute, hour, day, month and weekday, such as "30 2 * * 1-5", in UTC. The prefix "CRON_TZ=Europe/Berlin " names
// another zone. There, a time that a change of the clock leaves out does not come, and a time that is repeated comes
// twice.
//
// There is one event for each due time, whatever happens: the event and the progress of the schedule are one commit,
// and the event's id follows from the names and the due time. A schedule that is new in the journal begins with the
// next due time. Of the due times that pass while no process runs the module, or while the clock is set forward, the
// last counts; EachMissed and NoneMissed change that. When the clock is set back, the schedule waits for due times that
// have not been yet.
func (m *Module) Every(name, spec string, fn func(t time.Time) Event) *Schedule {
	b := m.bus
	b.mustBeOpen("schedule", m.name+"/"+name)
	s := &Schedule{module: m, name: m.name + "/" + name, spec: spec, emits: map[string]bool{}, event: fn, wiredAt: wiringSite()}
	if !validName.MatchString(name) {
		b.mistake("schedule %q: a name has lower case letters and digits, with single dashes or underscores between", s.name)
	}
	if fn == nil {
		b.mistake("schedule %q has no function: pass one that returns the event", s.name)
	}
	var err error
	if s.times, err = schedule.Parse(spec); err != nil {
		b.mistake("schedule %q: %w", s.name, err)
	}
	b.schedules = append(b.schedules, s)
	return s
}

// Emits declares the types of the events that the schedule may emit. Pass a value of each type; zero values suffice.
func (s *Schedule) Emits(events ...Event) *Schedule {
	for _, e := range events {
		if t := s.module.bus.declare(e, s.module.name); t != "" {
			s.emits[t] = true
		}
	}
	return s
}

// EachMissed makes every due time count, also those that have passed, however many.
func (s *Schedule) EachMissed() *Schedule {
	s.missed = schedule.All
	return s
}

// NoneMissed leaves out due times that passed more than a minute ago.
func (s *Schedule) NoneMissed() *Schedule {
	s.missed = schedule.None
	return s
}

// run emits the events of s until ctx ends.
func (s *Schedule) run(ctx context.Context) {
	b := s.module.bus
	r := &schedule.Runner{
		Name: s.name, Times: s.times, Missed: s.missed, Journal: b.journal, Logger: b.cfg.Logger, Advance: s.advance,
		Now: func() time.Time { return toMicros(b.now()) },
	}
	r.Run(ctx)
}

// advance emits the events of the due times, and moves the schedule on from last to upto, in one commit.
func (s *Schedule) advance(ctx context.Context, last, upto time.Time, due []time.Time) error {
	b := s.module.bus
	work := journal.Work{Module: s.module.name, Name: s.name, Limit: b.cfg.UnitTimeout, Tick: &journal.Tick{
		Schedule: s.name, Spec: s.spec, From: last, To: upto, Next: s.times.Next(upto),
	}}
	return b.journal.Do(ctx, work, func(journal.TxFunc) (events []*journal.Event, err error) {
		for _, t := range due {
			sealed, err := s.seal(ctx, t)
			if err != nil {
				return nil, fmt.Errorf("due at %s: %w", t.Format(time.RFC3339), err)
			}
			events = append(events, sealed...)
		}
		return events, nil
	})
}

// seal returns the event of a due time. A repeated seal has the same id.
func (s *Schedule) seal(ctx context.Context, t time.Time) ([]*journal.Event, error) {
	b := s.module.bus
	var out Events
	err := guard.Run(func() error {
		if e := s.event(t); e != nil {
			out = Emit(e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	at := &journal.Event{ID: t.Format(time.RFC3339)}
	sealed, err := b.sealAndFollow(ctx, out, origin{module: s.module, subscription: s.name, declared: s.emits})
	for i, e := range sealed {
		if e.Type != "" {
			e.ID = eventid.Emitted(s.name, at, i, e.Type)
			e.CorrelationID = e.ID
		}
	}
	return sealed, err
}
