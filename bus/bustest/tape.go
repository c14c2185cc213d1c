package bustest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// drawKind is what is being decided.
type drawKind int

const (
	drawPause drawKind = iota
	drawStep
	drawFault
	drawLate  // a step, where the oldest one was made to wait before
	drawClock // a pause, or a step of the clock
	drawShare // a fault, where several steps may share a commit
)

// Odds of a random run, in percent: that something goes wrong with a step, that time passes, and that a step which waits goes on
// waiting.
const (
	faultOdds  = 8
	pauseOdds  = 2
	startOdds  = 25 // that time passes where the run began just before the calendar changes
	lateOdds   = 94
	clockOdds  = 6
	shareOdds  = 50
	besideOdds = 20
)

// tape is where decisions come from, and where they are kept. 0 is always the obvious one: the oldest step, without a
// fault. A tape that has run out gives zeros, unless it has chance to draw from.
type tape struct {
	values []int
	chance *rand.Rand // nil for a tape that is only played
	linger bool       // a step that waits tends to go on waiting
	start  int        // when the run begins: 0 as usual, otherwise one of starts, from 1
	probe  bool       // the obvious schedule, with a second between each reaction and the same again
	behind int        // of the steps to draw from, how many at the end are what other processes do, or to wait

	drawn  []int // every decision so far
	limits []int // and among how many
}

// draw decides among n.
func (t *tape) draw(kind drawKind, n int) int {
	v := 0
	switch at := len(t.drawn); {
	case at < len(t.values):
		v = min(t.values[at], n-1)
	case t.chance != nil:
		v = t.random(kind, n)
	}
	t.drawn, t.limits = append(t.drawn, v), append(t.limits, n)
	return v
}

// faults is how many there may be in one run, at most most: mostly few, since most bugs need one, or none but an unlucky order.
func (t *tape) faults(most int) int {
	if t.chance == nil || most == 0 {
		return most
	}
	return min(t.chance.IntN(most+1), 1+t.chance.IntN(most))
}

// obvious reports whether nothing is decided but the obvious.
func (t *tape) obvious() bool {
	return t.chance == nil && !t.probe && t.start == 0 && len(trimmed(t.values)) == 0
}

// random draws the same number of random numbers whatever the outcome.
func (t *tape) random(kind drawKind, n int) int {
	percent, among := t.chance.IntN(100), t.chance.Uint64()
	odds := map[drawKind]int{drawPause: pauseOdds, drawStep: 101, drawFault: faultOdds, drawLate: lateOdds, drawClock: clockOdds, drawShare: shareOdds}[kind]
	if (kind == drawPause || kind == drawClock) && t.start > 0 {
		odds = startOdds
	}
	if n <= 1 || percent >= odds && kind != drawLate {
		return 0
	}
	if kind == drawStep || kind == drawLate {
		return t.step(kind, n, percent, among)
	}
	return 1 + int(among%uint64(n-1))
}

// step draws one of n steps. What other processes do comes seldom, so that it is spread over the whole run.
func (t *tape) step(kind drawKind, n, percent int, among uint64) int {
	own := n - t.behind
	switch aside := int(among >> 32 % 100); {
	case t.behind > 0 && own == 0 && aside >= besideOdds:
		return n - 1 // to wait, where that can be done
	case t.behind > 0 && (own == 0 || aside < besideOdds):
		return own + int(among%uint64(t.behind))
	}
	switch {
	case kind == drawStep:
		return int(among % uint64(own))
	case own > 1 && percent < lateOdds:
		return 1 + int(among%uint64(own-1))
	default:
		return 0
	}
}

// trimmed is values without the zeros at its end, which it has anyway.
func trimmed(values []int) []int {
	for len(values) > 0 && values[len(values)-1] == 0 {
		values = values[:len(values)-1]
	}
	return values
}

// probing is the replay of a probe.
const probing = "probe"

// encode writes a schedule so that it fits into a line of Go: "s3.7z.2.1" begins at bad start 3, and is seven zeros, 2, 1.
func encode(start int, values []int) string {
	var parts []string
	if start > 0 {
		parts = append(parts, "s"+strconv.Itoa(start))
	}
	zeros := 0
	for _, v := range trimmed(values) {
		if v == 0 {
			zeros++
			continue
		}
		if zeros > 0 {
			parts = append(parts, strconv.Itoa(zeros)+"z")
			zeros = 0
		}
		parts = append(parts, strconv.Itoa(v))
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, ".")
}

func decode(s string) (start int, values []int, err error) {
	for i, part := range strings.Split(s, ".") {
		if at, ok := strings.CutPrefix(part, "s"); ok && i == 0 {
			if start, err = strconv.Atoi(at); err != nil || start < 1 || start > len(starts()) {
				return 0, nil, fmt.Errorf("bustest: Replay %q: there is no start %q: copy the whole line that a failure prints", s, part)
			}
			continue
		}
		digits, zeros := strings.CutSuffix(part, "z")
		n, err := strconv.Atoi(digits)
		switch {
		case err != nil || n < 0 || zeros && n > 3*maxSteps:
			return 0, nil, fmt.Errorf("bustest: Replay %q: %q is neither a number nor a number of zeros: copy the whole line that a failure prints", s, part)
		case zeros:
			values = append(values, make([]int, n)...)
		default:
			values = append(values, n)
		}
	}
	return start, values, nil
}
