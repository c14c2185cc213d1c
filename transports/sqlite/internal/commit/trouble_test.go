package commit

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/internal/oncelog"
)

// TestTroubleThatComesAndGoes is a disk that is all but full.
func TestTroubleThatComesAndGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		w := &Writer{cfg: Config{Logger: slog.New(slog.NewTextHandler(&text, nil))}}
		wants := func(when string, want ...string) {
			t.Helper()
			got := strings.Split(text.String(), "\n")
			got = got[:len(got)-1]
			text.Reset()
			if len(got) != len(want) {
				t.Fatalf("%s: %q, want %q", when, got, want)
			}
			for i := range want {
				if !strings.Contains(got[i], want[i]) {
					t.Errorf("%s: %q, want %q", when, got[i], want[i])
				}
			}
		}
		full := errors.New("disk is full")
		w.noteTrouble(nil)
		w.noteTrouble(full)
		w.noteTrouble(full)
		wants("at first", `msg="the journal cannot write: publishers get errors, reactions wait" commits=1 error="disk is full"`)
		w.noteTrouble(nil)
		w.noteTrouble(nil)
		wants("when it is over", `msg="the journal writes again" refused=2`)
		for range 100 {
			w.noteTrouble(full)
			w.noteTrouble(nil)
		}
		wants("when it comes and goes")
		<-time.After(oncelog.Again)
		w.noteTrouble(full)
		w.noteTrouble(nil)
		wants("when it still does", "commits=101 ", `writes again" refused=1`)
	})
}
