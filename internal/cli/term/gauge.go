package term

import (
	"context"
	"fmt"
	"io"
	"time"
)

// A long audit shows its progress: on a terminal after silentFor, in one line that changes every terminalPace, and in a
// file with a line every filePace.
const (
	silentFor    = time.Second
	terminalPace = 200 * time.Millisecond
	filePace     = 10 * time.Second
)

// Gauge shows the progress of an audit.
type Gauge struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	next     time.Time // the earliest time of the next output
	shown    bool      // there was an output

	what  string // the present step
	began time.Time
	from  int64 // items done when the step began
}

// NewGauge returns a Gauge that writes to w.
func NewGauge(w io.Writer, terminal bool) *Gauge {
	p := &Gauge{w: w, terminal: terminal, now: time.Now}
	p.next = p.now().Add(silentFor)
	if !p.terminal {
		p.next = p.now().Add(filePace)
	}
	return p
}

type gaugeKey struct{}

// WithGauge returns a context with g.
func WithGauge(ctx context.Context, g *Gauge) context.Context {
	return context.WithValue(ctx, gaugeKey{}, g)
}

// GaugeOf returns the Gauge of the context of an audit, or nil, which shows nothing.
func GaugeOf(ctx context.Context) *Gauge {
	p, _ := ctx.Value(gaugeKey{}).(*Gauge)
	return p
}

// Show prints that done of of items are done, and the estimated remaining time, unless the last output is recent.
func (p *Gauge) Show(what string, done, of int64) {
	if p == nil {
		return
	}
	now := p.now()
	if what != p.what {
		p.what, p.began, p.from = what, now, done
	}
	if now.Before(p.next) {
		return
	}
	left := ""
	if rest := p.rest(now, done, of); rest >= time.Second {
		left = ", about " + rest.String() + " left"
	}
	pause, format := filePace, "checking %s: %d %%%s\n"
	if p.terminal {
		pause, format = terminalPace, "\r\x1b[Kchecking %s: %d %%%s"
	}
	p.next, p.shown = now.Add(pause), true
	_, _ = fmt.Fprintf(p.w, format, what, 100*done/max(of, 1), left) // progress may be lost
}

// rest returns the remaining time of the step in whole seconds, estimated from the pace so far; 0 if unknown.
func (p *Gauge) rest(now time.Time, done, of int64) time.Duration {
	took := now.Sub(p.began)
	if done <= p.from || took < silentFor/2 {
		return 0
	}
	return time.Duration(float64(took) * float64(of-done) / float64(done-p.from)).Round(time.Second)
}

// End clears the line of progress on a terminal.
func (p *Gauge) End() {
	if p.shown && p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
