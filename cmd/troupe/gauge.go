package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// An audit that takes longer than this says how far it is: to a terminal in one line, to anything else in a line now and then.
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
}

func newGauge(o *options) *gauge {
	p := &gauge{w: o.stderr, terminal: o.isTerminal, now: time.Now}
	p.next = p.now().Add(silentFor)
	return p
}

type gaugeKey struct{}

// gaugeOf is what the context of an audit carries; one that says nothing where there is none.
func gaugeOf(ctx context.Context) *gauge {
	p, _ := ctx.Value(gaugeKey{}).(*gauge)
	return p
}

// tell says that done of all is done, if it is time to.
func (p *gauge) tell(what string, done, of int64) {
	if p == nil || p.now().Before(p.next) {
		return
	}
	percent := 100 * done / max(of, 1)
	pause, format := toldToFile, "checking %s: %d %%\n"
	if p.terminal {
		pause, format = toldTo, "\r\x1b[Kchecking %s: %d %%"
	}
	p.next, p.said = p.now().Add(pause), true
	_, _ = fmt.Fprintf(p.w, format, what, percent) // a terminal that is gone misses nothing
}

// end removes what a terminal shows.
func (p *gauge) end() {
	if p.said && p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
