// Package oncelog limits the log lines about a lasting problem: a line at the beginning, a line a minute while the
// problem lasts, and a line at the end (Problem; Tries for a task that is tried again). A warning without a count is
// logged once (Warnings). Every other package may import oncelog.
package oncelog

import "time"

const (
	// Again is the time between two log lines about the same problem.
	Again = time.Minute
	// Lasts is how long a problem that is back within Again must last to be logged. A disk that is almost full takes small
	// writes and refuses large ones: that problem comes and goes a hundred times a second.
	Lasts = 5 * time.Second
)

// Problem counts the failures of one kind, and reports which of them are due in the log. The zero value is a problem
// that does not exist. Callers that share a Problem hold a lock of their own.
type Problem struct {
	since  time.Time // zero while the problem does not exist
	logged time.Time // the last log line about the problem, also about an earlier one of the same kind
	known  bool      // the log has heard since the problem began
	all    int       // failures since the problem began
	new    int       // failures since the last log line
}

// Failed counts a failure at now. When a log line is due, Failed returns the number of failures since the last line,
// else 0.
func (p *Problem) Failed(now time.Time) (failures int) {
	if p.since.IsZero() {
		p.since, p.known, p.all = now, false, 0
	}
	p.all++
	p.new++
	if !p.logged.IsZero() && now.Sub(p.logged) < Again && (p.known || now.Sub(p.since) < Lasts) {
		return 0
	}
	failures = p.new
	p.logged, p.known, p.new = now, true, 0
	return failures
}

// Over ends the problem at now. When the log has heard of the problem, Over returns all its failures and how long the
// problem lasted, else 0.
func (p *Problem) Over(now time.Time) (failures int, lasted time.Duration) {
	if p.since.IsZero() {
		return 0, 0
	}
	if p.known {
		failures, lasted = p.all, now.Sub(p.since)
		p.new = 0
	}
	p.since = time.Time{}
	return failures, lasted
}

// Since returns when the present problem began, or the zero time.
func (p *Problem) Since() time.Time { return p.since }
