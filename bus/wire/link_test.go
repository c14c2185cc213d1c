package wire

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/internal/oncelog"
)

// TestATroubleIsToldOnce: also one that is put into other words at every try.
func TestATroubleIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(&log, nil))
		l := linkState{topic: "order", logger: logger, fails: oncelog.NewTries(logger, "ingest", "topic", "order")}
		lines := func() int { return strings.Count(log.String(), "\n") }
		try := func(port int) {
			t.Helper()
			pause := time.NewTimer(l.failed(fmt.Errorf("read tcp 127.0.0.1:%d: connection reset by peer", port)))
			<-pause.C
		}
		began := time.Now()
		port := 1
		for ; time.Since(began) < oncelog.Again-2*lastPause; port++ {
			try(port)
		}
		if n := lines(); n != 1 || port < 5 {
			t.Errorf("%d tries in %v are %d lines in the log, want 1:\n%s", port-1, time.Since(began), n, &log)
		}
		for time.Since(began) < oncelog.Again+2*lastPause {
			try(port)
			port++
		}
		if n := lines(); n != 2 {
			t.Errorf("after %v there are %d lines in the log, want 2:\n%s", time.Since(began), n, &log)
		}
		l.works()
		for began = time.Now(); time.Since(began) < oncelog.Lasts+2*lastPause; port++ {
			try(port)
		}
		if n := lines(); n != 4 || l.link().Err == nil {
			t.Errorf("a trouble that is over, and back, makes %d lines in the log, want 2 more:\n%s", n-2, &log)
		}
	})
}
