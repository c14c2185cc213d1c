package bustest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// drawKind is the subject of a decision.
type drawKind int

const (
	drawPause drawKind = iota
	drawStep
	drawFault
	drawLate  // a step, after the oldest step was made to wait
	drawClock // a pause, or a step of the clock
	drawShare // a fault, when several steps may share a commit
)

// The odds of a random run, in percent. faultOdds: a step has a fault. pauseOdds: time passes. lateOdds: a waiting step
// goes on waiting. clockOdds: the clock moves. shareOdds: steps share a commit. besideOdds: another process acts.
const (
	faultOdds  = 8
	pauseOdds  = 2
	startOdds  = 25 // time passes, in a run that began just before a change of the calendar
	lateOdds   = 94
	clockOdds  = 6
	shareOdds  = 50
	besideOdds = 20
)

// tape is the source and the record of decisions. The value 0 is the obvious decision: the oldest step, without a
// fault. After the last value, a tape returns random numbers from chance, or zeros without chance.
type tape struct {
	values []int
	chance *rand.Rand // nil for a replay
	linger bool       // a waiting step tends to go on waiting
	start  int        // the start of the run: 0 for the default, otherwise a number in starts, from 1
	probe  bool       // the obvious schedule, with a second between the two runs of a reaction
	beside int        // the number of last options for the next draw that are acts of other processes, or waiting

	drawn  []int // every decision so far
	limits []int // the number of options for each decision
}

// draw decides among n options.
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

// faults returns the largest number of faults for a run, up to most. The number is mostly small, since most bugs need a
// single fault, or an unlucky order without faults.
func (t *tape) faults(most int) int {
	if t.chance == nil || most == 0 {
		return most
	}
	return min(t.chance.IntN(most+1), 1+t.chance.IntN(most))
}

// obvious reports whether every decision is the obvious one.
func (t *tape) obvious() bool {
	return t.chance == nil && !t.probe && t.start == 0 && len(trimmed(t.values)) == 0
}

// random draws among n options. The amount of consumed randomness does not depend on the result.
func (t *tape) random(kind drawKind, n int) int {
	percent, among := t.chance.IntN(100), t.chance.Uint64()
	odds := map[drawKind]int{
		drawPause: pauseOdds, drawStep: 101, drawFault: faultOdds, drawLate: lateOdds,
		drawClock: clockOdds, drawShare: shareOdds,
	}[kind]
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

// step draws one of n steps. Acts of other processes are drawn seldom, so that they spread over the whole run.
func (t *tape) step(kind drawKind, n, percent int, among uint64) int {
	ready := n - t.beside
	switch aside := int(among >> 32 % 100); {
	case t.beside > 0 && ready == 0 && aside >= besideOdds:
		return n - 1 // wait, if possible
	case t.beside > 0 && (ready == 0 || aside < besideOdds):
		return ready + int(among%uint64(t.beside))
	}
	switch {
	case kind == drawStep:
		return int(among % uint64(ready))
	case ready > 1 && percent < lateOdds:
		return 1 + int(among%uint64(ready-1))
	default:
		return 0
	}
}

// trimmed returns values without trailing zeros, which a tape returns by default.
func trimmed(values []int) []int {
	for len(values) > 0 && values[len(values)-1] == 0 {
		values = values[:len(values)-1]
	}
	return values
}

// probing is the Replay of a probe.
const probing = "probe"

// encode returns a schedule as text for a line of Go: "s3.7z.2.1" means bad start 3, seven zeros, 2, 1.
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
