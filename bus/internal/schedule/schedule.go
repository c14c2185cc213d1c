// Package schedule computes the due times of schedules, from durations and cron specifications, and runs schedules. The
// package imports the standard library, bus/journal and the parser of robfig/cron. The arithmetic of robfig/cron misses
// due times after some changes of the clock: on a day without a midnight, and in a zone with a change of half an hour.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Times are the due times of a schedule.
type Times interface {
	// Next returns the first due time after t, in UTC, or the zero time if there is none within five years.
	Next(t time.Time) time.Time
}

// Shortest and longest bound the duration between two due times.
const (
	Shortest = time.Second
	Longest  = 10 * 365 * 24 * time.Hour
)

// Parse returns the due times of spec: a duration such as 15m, whose multiples count from the start of the year 1 in
// UTC; or a cron specification in UTC, or in the zone of the prefix CRON_TZ=.
func Parse(spec string) (Times, error) {
	if d, err := time.ParseDuration(spec); err == nil {
		if d < Shortest || d > Longest {
			return nil, fmt.Errorf("every %v: want a duration from %v to %v", d, Shortest, Longest)
		}
		return every(d), nil
	}
	s, err := parseCron(spec)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a duration (15m) nor a cron specification (minute hour day month weekday): %w", spec, err)
	}
	fields, ok := s.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q: unknown kind of specification", spec)
	}
	if fields.Location == time.Local { // the specification names no zone
		fields.Location = time.UTC
	}
	t := (*calendar)(fields)
	if t.Next(time.Now()).IsZero() {
		return nil, fmt.Errorf("%q is never due within five years", spec)
	}
	return t, nil
}

// parseCron returns a panic of the parser as an error.
func parseCron(spec string) (s cron.Schedule, err error) {
	defer func() {
		if v := recover(); v != nil {
			s, err = nil, errors.New("a time zone without a time")
		}
	}()
	if strings.Contains(spec, "@every") {
		return nil, errors.New("write the duration alone")
	}
	return cron.ParseStandard(spec)
}

type every time.Duration

// Next implements Times.
func (d every) Next(t time.Time) time.Time {
	return t.UTC().Truncate(time.Duration(d)).Add(time.Duration(d))
}

// calendar is a cron specification, with a bit for each value of a field.
type calendar cron.SpecSchedule

// Next implements Times: the next minute at which a clock of the zone shows the specification.
func (c *calendar) Next(t time.Time) time.Time {
	t = t.Truncate(time.Minute).Add(time.Minute)
	for limit := t.AddDate(5, 0, 0); t.Before(limit); {
		shown := t.In(c.Location)
		hour, minute := shown.Hour(), shown.Minute()
		switch {
		case !c.onDay(shown):
			// No change of the clock takes 3 hours.
			t = t.Add(max(21*time.Hour-time.Duration(hour*60+minute)*time.Minute, toQuarter(minute)))
		case c.Hour&(1<<hour) == 0:
			t = t.Add(toQuarter(minute)) // an hour may begin there, after a change of the clock
		case c.Minute&(1<<minute) == 0:
			t = t.Add(time.Minute)
		default:
			return t.UTC()
		}
	}
	return time.Time{}
}

// toQuarter returns the time from a minute to the next quarter of an hour.
func toQuarter(minute int) time.Duration { return time.Duration(15-minute%15) * time.Minute }

// star is the bit of a field that is a star.
const star = 1 << 63

// onDay reports whether the specification has the day of t. Of day and weekday, one suffices if neither is a star.
func (c *calendar) onDay(t time.Time) bool {
	if c.Month&(1<<t.Month()) == 0 {
		return false
	}
	day, weekday := c.Dom&(1<<t.Day()) != 0, c.Dow&(1<<t.Weekday()) != 0
	if c.Dom&star != 0 || c.Dow&star != 0 {
		return day && weekday
	}
	return day || weekday
}

// Missed says which of the due times that passed count.
type Missed int

// The choices.
const (
	Last Missed = iota // the last
	All                // all
	None               // the last, if it passed no longer than Grace ago
)

// Grace is the time after a due time within which the due time does not count as missed.
const Grace = time.Minute

// atOnce bounds the due times of one commit.
const atOnce = 100

// Due returns those of the due times after last, up to now, that count, and the due time up to which all are decided.
// passed is the number of those that do not count.
func Due(t Times, m Missed, last, now time.Time) (due []time.Time, upto time.Time, passed int) {
	upto = last
	for next := t.Next(upto); !next.IsZero() && !next.After(now) && len(due) < atOnce; next = t.Next(next) {
		if upto = next; m != All && len(due) > 0 {
			due, passed = due[:0], passed+1
		}
		due = append(due, next)
	}
	if m == None && len(due) > 0 && now.Sub(upto) > Grace {
		due, passed = nil, passed+1
	}
	return due, upto, passed
}
