package torture

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/troupebus/troupe/internal/torture/story"
)

// triesEach is the number of runs of a candidate without the finding before the search gives the candidate up: a
// finding may depend on timing.
const triesEach = 3

// Shrink looks for a shorter schedule with a finding of the same class, until limit has passed. It returns the shortest
// schedule so far, and whether s had the finding again at all.
func (m *Machine) Shrink(
	ctx context.Context, s story.Schedule, class string, limit time.Duration,
) (shortest story.Schedule, again bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	shows := func(c story.Schedule) bool { return ctx.Err() == nil && m.shows(ctx, c, class) }
	if !shows(s) {
		return s, false
	}
	return story.Shrink(s, shows), true
}

// shows reports whether a run of s has a finding of class.
func (m *Machine) shows(ctx context.Context, s story.Schedule, class string) bool {
	for range triesEach {
		folder, err := os.MkdirTemp("", "torture-")
		if err != nil {
			return false
		}
		out, err := m.Run(ctx, s, folder)
		_ = os.RemoveAll(folder) // at worst, a folder is left among the temporary files
		if err != nil {
			return false
		}
		if slices.ContainsFunc(out.Findings, func(f story.Finding) bool { return f.Class == class }) {
			return true
		}
	}
	return false
}
