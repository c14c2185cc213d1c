package term

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestGauge: what takes a while says how far it is and how long the rest will take, to a terminal in place, to a file
// now and then.
func TestGauge(t *testing.T) {
	t.Parallel()
	for terminal, want := range map[bool]string{
		true:  "\r\x1b[Kchecking the log: 25 %, about 4s left\r\x1b[Kchecking the log: 75 %, about 1s left\r\x1b[Kchecking the tables: 50 %\r\x1b[K",
		false: "checking the log: 25 %, about 4s left\nchecking the tables: 50 %\n",
	} {
		var b strings.Builder
		p := NewGauge(&b, terminal)
		start := time.Now()
		if terminal != p.next.Before(start.Add(2*silentFor)) {
			t.Errorf("terminal %t: the first line after %v", terminal, p.next.Sub(start))
		}
		p.next = start.Add(silentFor)
		for _, tell := range []struct {
			after time.Duration
			what  string
			done  int64
		}{
			{0, "the log", 0}, {1200 * time.Millisecond, "the log", 25}, {1300 * time.Millisecond, "the log", 50}, {3 * time.Second, "the log", 75},
			{20 * time.Second, "the tables", 50},
		} {
			p.now = func() time.Time { return start.Add(tell.after) }
			p.Show(tell.what, tell.done, 100)
		}
		p.End()
		if b.String() != want {
			t.Errorf("terminal %t: %q, want %q", terminal, b.String(), want)
		}
	}
	GaugeOf(context.Background()).Show("nobody hears", 1, 2)
}
