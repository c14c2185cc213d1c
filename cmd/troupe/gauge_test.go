package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestGauge(t *testing.T) {
	t.Parallel()
	for terminal, want := range map[bool]string{
		true:  "\r\x1b[Kchecking the log: 25 %\r\x1b[Kchecking the log: 75 %\r\x1b[K",
		false: "checking the log: 25 %\n",
	} {
		var b strings.Builder
		p := newGauge(&options{stderr: &b, isTerminal: terminal})
		at := p.next.Add(-silentFor)
		p.now = func() time.Time { return at }
		for i, done := range []int64{0, 25, 50, 75} { // at 0, 1000, 1100 and 1300 ms
			at = p.next.Add(-silentFor)
			if i == 0 {
				at = time.Now().Add(-time.Minute)
			}
			if i == 1 || i == 3 {
				at = p.next
			}
			if i == 3 && !terminal {
				at = p.next.Add(-time.Millisecond)
			}
			p.tell("the log", done, 100)
		}
		p.end()
		if b.String() != want {
			t.Errorf("terminal %t: %q, want %q", terminal, b.String(), want)
		}
	}
	gaugeOf(context.Background()).tell("nobody hears", 1, 2)
}
