package oncelog

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		tries := NewTries(slog.New(slog.NewTextHandler(&log, nil)), "relay", "topic", "order")
		for range 120 {
			tries.Note(errors.New("no route"))
			<-time.After(time.Second)
		}
		for range 3 {
			tries.Note(nil)
		}
		want := []string{
			`level=ERROR msg="relay failed, retrying" topic=order tries=1 error="no route"`,
			`level=ERROR msg="relay failed, retrying" topic=order tries=60 error="no route"`,
			`level=INFO msg="relay works again" topic=order tries=120 after=2m0s`,
		}
		got := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(got) != len(want) {
			t.Fatalf("the log has %d lines, want %d:\n%s", len(got), len(want), &log)
		}
		for i := range want {
			if !strings.HasSuffix(got[i], want[i]) {
				t.Errorf("got %q, want %q", got[i], want[i])
			}
		}
	})
}
