package sqlite

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// A reaction that runs once more, in a run from the start, sets its delayed events again: what waits or has come stays,
// what was replaced is replaced again, and nothing comes that was cancelled.
func TestTimersThatAreSetAgain(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	begin := time.Now()
	set := func(id, eventType string, hours int) {
		t.Helper()
		e := &journal.Event{ID: id, Type: eventType, Version: 1, Source: "m", Key: "k", Timer: "alarm", Time: begin, CorrelationID: id, Data: []byte("{}")}
		if hours > 0 {
			e.Due = begin.Add(time.Duration(hours) * time.Hour)
		}
		err := j.Do(t.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) ([]*journal.Event, error) { return []*journal.Event{e}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, lines ...string) {
		t.Helper()
		got := ask(t, j, fmt.Sprintf(`SELECT event_id || ' waits ' || ((due_at - %d) / 3600000000) FROM delayed
UNION ALL SELECT event_id || ' is cancelled' FROM cancelled UNION ALL SELECT id || ' has come' FROM events ORDER BY 1`, begin.UnixMicro()))
		if !slices.Equal(got, lines) {
			t.Errorf("%s: %q, want %q", what, got, lines)
		}
	}
	set("1", "t", 1)
	set("2", "t", 2)
	want("replaced", "1 is cancelled", "2 waits 2")
	set("2", "t", 9)
	want("what waits, again", "1 is cancelled", "2 waits 2")
	set("1", "t", 0)
	want("what was replaced, and is past", "1 is cancelled", "2 waits 2")
	set("1", "t", 5)
	set("2", "t", 6)
	want("both again", "1 is cancelled", "2 waits 6")
	set("", "", 0)
	want("cancelled", "1 is cancelled", "2 is cancelled")
	set("1", "t", 1)
	set("", "", 0)
	set("2", "t", 2)
	want("all again", "1 is cancelled", "2 waits 2")
	for _, id := range []string{"1", "2"} { // flows without an event that has come, or waits
		if id == "2" {
			set("", "", 0)
		}
		if flows, err := j.Reader().Flow(t.Context(), id); err != nil || len(flows) != 1 || len(flows[0].Cancelled) != 1 {
			t.Errorf("flow %s: %+v, %v", id, flows, err)
		}
	}
	set("2", "t", 2)
	set("3", "t", 0)
	want("at once", "1 is cancelled", "2 is cancelled", "3 has come")
	set("4", "t", 4)
	set("3", "t", 0)
	want("what has come, again", "1 is cancelled", "2 is cancelled", "3 has come", "4 waits 4")
	mustClose(t, j)
}
