package commit

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

func TestHealthRemembersRefusals(t *testing.T) {
	t.Parallel()
	h := health{sick: make(chan struct{}, 1)}
	now := time.Now()
	if err := h.check(now); err != nil {
		t.Errorf("at first: %v", err)
	}
	full := errors.New("full")
	h.note(full)
	if err := h.check(now.Add(time.Hour)); !errors.Is(err, full) {
		t.Errorf("an hour after a refusal, and nothing since: %v", err)
	}
	h.note(nil)
	if err := h.check(time.Now()); !errors.Is(err, full) {
		t.Errorf("what is small is written, what is large is not: %v", err)
	}
	if err := h.check(time.Now().Add(sickFor)); err != nil {
		t.Errorf("when it is over: %v", err)
	}
	end := under(&h.writing)
	if err := h.check(time.Now().Add(stuckAfter - time.Second)); err != nil {
		t.Errorf("a slow handler holds the writer: %v", err)
	}
	if err := h.check(time.Now().Add(sickFor + stuckAfter)); !errors.Is(err, journal.ErrUnavailable) || !strings.Contains(err.Error(), "has been under way") {
		t.Errorf("a write hangs: %v", err)
	}
	end()
	if err := h.check(time.Now().Add(time.Hour)); err != nil {
		t.Errorf("a write has ended: %v", err)
	}
}
