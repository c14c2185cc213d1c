package moves

import (
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite/move"
)

func TestTotalsOfDeadLetters(t *testing.T) {
	t.Parallel()
	p := &move.Proof{Lines: []move.Line{{What: "dead letters dead"}, {What: "dead letters replayed"}, {What: "dead letters dropped"}}}
	for i := range p.Lines {
		p.Lines[i].Moved.After.Rows = int64(i + 1)
	}
	if got := (&proofText{proof: p}).totals(); !strings.Contains(got, ", 1 dead letter, 5 replayed or dropped, ") {
		t.Errorf("the totals are %q", got)
	}
	p.Lines = p.Lines[:1]
	if got := (&proofText{proof: p}).totals(); !strings.Contains(got, ", 1 dead letter, 0 delayed events") {
		t.Errorf("without others, the totals are %q", got)
	}
}
