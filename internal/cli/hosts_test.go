package cli

import (
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/console"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHostsOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{"127.0.0.1:80": {"127.0.0.1", "a"}, ":80": {"a"}, "shop:80": {"shop", "a"}, "nonsense": {"a"}} {
		if got := console.HostsOf(address, []string{"a"}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// What cannot be encoded is a failure that says so, and no empty answer that looks like success.
func TestTheObserverEncodesBeforeItAnswers(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	a := audit.ObserverAPI{Logger: slog.New(slog.DiscardHandler)}
	a.Answer(w, httptest.NewRequest("GET", "/events", nil), func(*http.Request) (any, error) {
		return []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
	})
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "cannot be encoded as JSON") {
		t.Errorf("answer %d %q", w.Code, w.Body)
	}
}
