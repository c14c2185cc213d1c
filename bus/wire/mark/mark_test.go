package mark_test

import (
	"errors"
	"testing"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/mark"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// TestYield: of two processes on copies of a journal, the one that started later goes on, whatever their clocks say.
func TestYield(t *testing.T) {
	t.Parallel()
	m := wiretest.NewMemory("j", 1)
	older, newer := mark.NewProcess(), mark.NewProcess()
	ahead := older.Mark("t", m)
	ahead.Since += 1e12 // the clock of the older one is ahead
	if err := newer.Yield(ahead, m, true, "reads"); err != nil {
		t.Errorf("the newer one, at first: %v", err)
	}
	if err := newer.Yield(ahead, m, false, "reads"); err != nil {
		t.Errorf("the newer one, later: %v", err)
	}
	is := newer.Mark("t", m)
	if is.Since <= ahead.Since {
		t.Errorf("the newer one began at %d, the older one at %d", is.Since, ahead.Since)
	}
	if err := older.Yield(is, m, false, "reads"); !errors.Is(err, wire.ErrReplaced) {
		t.Errorf("the older one: %v", err)
	}
	for name, err := range map[string]error{
		"itself":          newer.Yield(is, m, false, ""),
		"another journal": older.Yield(is, wiretest.NewMemory("k", 1), false, ""),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParse: what others have written is no mark.
func TestParse(t *testing.T) {
	t.Parallel()
	m := mark.NewProcess().Mark("t", wiretest.NewMemory("j", 7))
	m.At, m.Was = "1/2", "3/4"
	if got, ours := mark.Parse(m.String()); got != m || !ours {
		t.Errorf("%s is read as %+v", m, got)
	}
	for _, text := range []string{"", "{}", "a", `{"run":1}`, `{"journal":"j"}`} {
		if got, ours := mark.Parse(text); ours || got != (mark.Mark{}) {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

// TestHead is that of the first look, in each process.
func TestHead(t *testing.T) {
	t.Parallel()
	m, p := wiretest.NewMemory("j", 7), mark.NewProcess()
	for range 2 {
		if head := p.Head(m); head != 7 {
			t.Errorf("the head is %d, want 7", head)
		}
		m.Grow(9)
	}
	if head := mark.NewProcess().Head(m); head != 9 {
		t.Errorf("the head is %d, want 9", head)
	}
	if head := p.Head(nil); head != 0 {
		t.Errorf("the head of no journal is %d", head)
	}
}
