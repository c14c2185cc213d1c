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

// aloneVariable tells a test binary to run one schedule of one exploration of its one test: "2:17" is schedule 17 of the second.
const aloneVariable = "BUSTEST_ALONE"

// alonePrefix begins the line that such a process prints.
const alonePrefix = "bustest alone: "

// ended is how a schedule ended in another process.
type ended struct {
	Wrong []string
	State string
	Trace uint64
}

// explorations counts, by test, the explorations that run schedules alone.
var explorations sync.Map

// nthOf returns which exploration of t this is, from 1.
func nthOf(t *testing.T) int64 {
	n, _ := explorations.LoadOrStore(t.Name(), &atomic.Int64{})
	return n.(*atomic.Int64).Add(1)
}

// forAlone returns which exploration of t this is, 0 where no schedules are to run alone. In a process that is there for a schedule of it,
// that runs, and the test ends; other reports that the process is there for another exploration.
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

// alone runs x.Alone schedules here, and each in a process of its own, when nothing was found. It returns the first that differs.
func (e *explorer) alone(t *testing.T, nth int64, found Found) Found {
	for i := 1; i <= e.x.Alone && nth > 0 && len(found.Wrong) == 0; i++ {
		here := e.once(t, e.drawn(i))
		cmd := exec.Command(os.Args[0], "-test.run="+exactly(t.Name()), "-test.count=1", "-test.timeout=10m")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d", aloneVariable, nth, i))
		out, err := cmd.Output()
		_, rest, ok := strings.Cut(string(out), alonePrefix)
		line, _, _ := strings.Cut(rest, "\n")
		var there ended
		if !ok || json.Unmarshal([]byte(line), &there) != nil {
			t.Fatalf("bustest: schedule %d in a process of its own: %v\n%s", i, err, out)
		}
		if what := there.differs(here); what != "" {
			here.wrong = append(here.wrong, "what ran before in this process makes a difference to it, such as by a package variable: "+what)
			return e.found(i+1, here.tape.drawn, here)
		}
	}
	return found
}

// differs says what is not the same here, or "".
func (e ended) differs(here *outcome) string {
	switch wrong, there := strings.Join(here.wrong, "; "), strings.Join(e.Wrong, "; "); {
	case here.state != e.State:
		return fmt.Sprintf("it ends with %s, and in a process of its own with %s", here.state, e.State)
	case wrong != there:
		return fmt.Sprintf("it ends with %q, and in a process of its own with %q", wrong, there)
	case here.trace != e.Trace:
		return "it takes another course in a process of its own"
	default:
		return ""
	}
}
