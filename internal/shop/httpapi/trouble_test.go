package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/internal/oncelog"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/front"
)

// TestOneLineForOneTrouble: a full disk refuses every request, and the log is on a disk, too.
func TestOneLineForOneTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := fmt.Errorf("%w: the disk is full", journal.ErrUnavailable)
		var broken error
		var lines log
		b := bus.New(nil, bus.Config{})
		api, err := New(Config{Orders: handlers.Order(b), Stock: handlers.Inventory(b), Front: front.New(front.Config{}), Logger: slog.New(slog.NewTextHandler(&lines, nil))})
		if err != nil {
			t.Fatal(err)
		}
		api.handle("POST /write", func(http.ResponseWriter, *http.Request) error { return broken })
		api.handle("GET /read", func(http.ResponseWriter, *http.Request) error { return nil })
		ask := func(n int, of error) {
			broken = of
			for range n {
				for _, r := range []*http.Request{httptest.NewRequest("POST", "/write", nil), httptest.NewRequest("GET", "/read", nil)} {
					api.ServeHTTP(httptest.NewRecorder(), r)
				}
			}
		}
		seen := 0
		wants := func(when string, want ...string) {
			t.Helper()
			got := strings.Split(strings.TrimSpace(lines.String()), "\n")[seen:]
			seen += len(got)
			if len(got) != len(want) {
				t.Fatalf("%s: %d lines, want %d: %q", when, len(got), len(want), got)
			}
			for i := range want {
				if !strings.Contains(got[i], want[i]) {
					t.Errorf("%s: %q, want %q", when, got[i], want[i])
				}
			}
		}
		ask(500, full)
		wants("at once", `level=ERROR msg="requests cannot be served at the moment" route="POST /write" path=/write requests=1 error="journal: unavailable: the disk is full"`)
		<-time.After(oncelog.Again)
		ask(100, full)
		wants("a minute later", "requests=500 ")
		ask(1, order404())
		wants("what was wrong with a request")
		ask(3, nil)
		wants("when it is over", `level=INFO msg="requests are served again" route="POST /write" failed=600 after=1m0s`)
		for range 10 {
			ask(1, full)
			ask(1, nil)
		}
		wants("when it comes and goes")
		<-time.After(oncelog.Again)
		ask(1, full)
		wants("when it is still there", "requests=11 ")
		ask(1, nil)
		wants("when it is over for good", "failed=1 ")
		ask(2, errors.New("a mistake of the server's"))
		wants("what is no such trouble", `msg="a request failed"`, `msg="a request failed"`)
	})
}

// order404 is why a request alone is refused.
func order404() error { return about(http.StatusNotFound, "there is none") }
