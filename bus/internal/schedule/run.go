package schedule

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Runner runs a schedule.
type Runner struct {
	Name    string
	Times   Times
	Missed  Missed
	Journal journal.Journal
	Now     func() time.Time // the wall clock
	Logger  *slog.Logger
	// Advance emits the events of the due times, and moves the schedule on from last to upto, in one commit.
	Advance func(ctx context.Context, last, upto time.Time, due []time.Time) error
}

// The pauses after a failure.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// Run emits the events of the schedule until ctx ends.
func (r *Runner) Run(ctx context.Context) {
	for pause := firstPause; ; {
		err := r.tick(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, journal.ErrClosed):
			return
		case err == nil:
			pause = firstPause
			continue
		case !errors.Is(err, journal.ErrAbandoned) && !errors.Is(err, journal.ErrUnavailable): // the journal logs its own
			r.Logger.LogAttrs(ctx, slog.LevelError, "schedule failed, and tries again after a pause", slog.String("schedule", r.Name),
				slog.Duration("pause", pause), slog.Any("error", err))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// tick waits for the next due time, and emits the events that are due.
func (r *Runner) tick(ctx context.Context) error {
	last, err := r.Journal.Ticked(ctx, r.Name)
	if err != nil {
		return err
	}
	if last.IsZero() {
		return r.Advance(ctx, last, r.Now(), nil)
	}
	next := r.Times.Next(last)
	if next.IsZero() {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := r.Journal.Until(ctx, next); err != nil {
		return err
	}
	now := r.Now()
	if now.Before(next) {
		now = next
	}
	due, upto, passed := Due(r.Times, r.Missed, last, now)
	if passed > 0 {
		r.Logger.LogAttrs(ctx, slog.LevelWarn, "schedule leaves out due times that have passed", slog.String("schedule", r.Name),
			slog.Int("left_out", passed), slog.Time("since", last), slog.Time("until", upto))
	}
	return r.Advance(ctx, last, upto, due)
}
