package cli

import (
	"context"
	"fmt"
	"io"
	"time"
)

// An audit that takes longer shows its progress: on a terminal after silentFor, in one line, and in a file every toldToFile.
const (
	silentFor  = time.Second
	toldTo     = 200 * time.Millisecond
	toldToFile = 10 * time.Second
)

// gauge says how far something is.
type gauge struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	next     time.Time // nothing is said before
	said     bool

	what  string // is under way
	began time.Time
	from  int64 // so much was done then
}

func newGauge(o *options) *gauge {
	p := &gauge{w: o.stderr, terminal: o.isTerminal, now: time.Now}
	p.next = p.now().Add(silentFor)
	if !p.terminal {
		p.next = p.now().Add(toldToFile)
	}
	return p
}

type gaugeKey struct{}

// gaugeOf is what the context of an audit carries; one that says nothing where there is none.
func gaugeOf(ctx context.Context) *gauge {
	p, _ := ctx.Value(gaugeKey{}).(*gauge)
	return p
}

// tell says that done of all is done, if it is time to, and how long the rest will take if it goes on like this.
func (p *gauge) tell(what string, done, of int64) {
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
	pause, format := toldToFile, "checking %s: %d %%%s\n"
	if p.terminal {
		pause, format = toldTo, "\r\x1b[Kchecking %s: %d %%%s"
	}
	p.next, p.said = now.Add(pause), true
	_, _ = fmt.Fprintf(p.w, format, what, 100*done/max(of, 1), left) // a terminal that is gone misses nothing
}

// rest is how long what is under way will still take at the pace that it has had, in whole seconds; 0 while that is not known.
func (p *gauge) rest(now time.Time, done, of int64) time.Duration {
	took := now.Sub(p.began)
	if done <= p.from || took < silentFor/2 {
		return 0
	}
	return time.Duration(float64(took) * float64(of-done) / float64(done-p.from)).Round(time.Second)
}

// end removes what a terminal shows.
func (p *gauge) end() {
	if p.said && p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
