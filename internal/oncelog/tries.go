package oncelog

import (
	"log/slog"
	"time"
)

// Tries logs the failures of a task that is tried again until the task works: "<task> failed, retrying" when a line is
// due, and "<task> works again" at the end. Callers that share Tries hold a lock of their own.
type Tries struct {
	Problem
	logger *slog.Logger
	task   string
	attrs  []any
}

// NewTries returns Tries of task for logger. The log lines have attrs, in the form of slog.Logger.With.
func NewTries(logger *slog.Logger, task string, attrs ...any) *Tries {
	return &Tries{logger: logger, task: task, attrs: attrs}
}

// Note records a try that ended with err.
func (t *Tries) Note(err error) {
	switch {
	case err != nil:
		if tries := t.Failed(time.Now()); tries > 0 {
			t.logger.With(t.attrs...).Error(t.task+" failed, retrying", slog.Int("tries", tries), slog.Any("error", err))
		}
	case !t.since.IsZero(): // else the clock is not read: most tries work
		if tries, lasted := t.Over(time.Now()); tries > 0 {
			t.logger.With(t.attrs...).Info(t.task+" works again", slog.Int("tries", tries),
				slog.Duration("after", lasted.Round(time.Millisecond)))
		}
	}
}
