package bustest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// aloneVariable selects a single schedule of an exploration in the process's only test: "2:17" is schedule 17 of the
// second exploration.
const aloneVariable = "BUSTEST_ALONE"

// alonePrefix begins the output line of such a process.
const alonePrefix = "bustest alone: "

// ended is the result of a schedule in another process.
type ended struct {
	Wrong []string
	State string
	Trace uint64
}

// explorations counts, by test, the explorations that use separate processes.
var explorations sync.Map

// nthOf returns the number of this exploration in t, from 1.
func nthOf(t *testing.T) int64 {
	n, _ := explorations.LoadOrStore(t.Name(), &atomic.Int64{})
	return n.(*atomic.Int64).Add(1)
}

// forAlone returns the number of this exploration in t, or 0 if no schedule runs separately. In a process for a
// schedule of this exploration, forAlone runs the schedule and ends the test. In a process for another exploration,
// other is true.
func (e *explorer) forAlone(t *testing.T) (nth int64, other bool) {
	if e.x.Alone <= 0 || e.x.Exhaustive || e.x.Replay != "" {
		return 0, false
	}
	nth = nthOf(t)
	asked := os.Getenv(aloneVariable)
	if asked == "" {
		return nth, false
	}
	var which int64
	var schedule int
	if _, err := fmt.Sscanf(asked, "%d:%d", &which, &schedule); err != nil || which != nth {
		return nth, true
	}
	out := e.once(t, e.drawn(schedule))
	line, err := json.Marshal(ended{out.wrong, out.state, out.trace})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n%s%s\n", alonePrefix, line)
	t.SkipNow()
	return nth, true
}

// alone runs x.Alone schedules, each here and in a separate process, if found has no failure. The result is the first
// schedule with a difference, or found.
func (e *explorer) alone(t *testing.T, nth int64, found Found) Found {
	for i := 1; i <= e.x.Alone && nth > 0 && len(found.Wrong) == 0; i++ {
		local := e.once(t, e.drawn(i))
		cmd := exec.Command(os.Args[0], "-test.run="+exactly(t.Name()), "-test.count=1", "-test.timeout=10m")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d", aloneVariable, nth, i))
		out, err := cmd.Output()
		_, rest, ok := strings.Cut(string(out), alonePrefix)
		line, _, _ := strings.Cut(rest, "\n")
		var separate ended
		if !ok || json.Unmarshal([]byte(line), &separate) != nil {
			t.Fatalf("bustest: schedule %d in a separate process: %v\n%s", i, err, out)
		}
		if difference := separate.differs(local); difference != "" {
			local.wrong = append(local.wrong, "the result depends on earlier runs in the process, for example through a package variable: "+difference)
			return e.found(i+1, local.tape.drawn, local)
		}
	}
	return found
}

// differs describes the difference between the separate process and local, or returns "".
func (e ended) differs(local *outcome) string {
	switch wrong, separate := strings.Join(local.wrong, "; "), strings.Join(e.Wrong, "; "); {
	case local.state != e.State:
		return fmt.Sprintf("the schedule ends with %s, and in a separate process with %s", local.state, e.State)
	case wrong != separate:
		return fmt.Sprintf("the schedule ends with %q, and in a separate process with %q", wrong, separate)
	case local.trace != e.Trace:
		return "the schedule takes another course in a separate process"
	default:
		return ""
	}
}
