package cli

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Rows with times that RFC 3339 cannot write were put there by other programs, or by older versions of this one.
func TestTimesOutOfRangeBlindNobody(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	MustChange(t, p.path, "UPDATE events SET time = 253402304399000000 WHERE seq = 1") // 9999-12-31T23:59:59-01:00
	MustChange(t, p.path, "UPDATE events SET time = -9223372036854775808 WHERE seq = 2")
	MustChange(t, p.path, "UPDATE deliveries SET started_at = 9223372036854775807")
	MustChange(t, p.path, "UPDATE dead_letters SET first_failed_at = -62135596800000001, dead_at = 9223372036854775807")
	ran := func(args ...string) string {
		t.Helper()
		var out strings.Builder
		if code := uncleaned(&out, append(args, "--journal", p.path, "--json")); code != 0 {
			t.Errorf("troupe %q: exit code %d: %s", args, code, out.String())
		}
		return out.String()
	}
	lines := strings.Split(strings.TrimSpace(ran("events")), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"time":"9999-12-31T23:59:59.999999Z"`) || !strings.Contains(lines[1], `"time":"0001-01-01T00:00:00Z"`) {
		t.Errorf("events: %q", lines)
	}
	for _, args := range [][]string{{"trace", "f1"}, {"dlq", "list"}, {"dlq", "list", "--causes"}, {"dlq", "show", "1"}, {"verify"}} {
		if text := ran(args...); !json.Valid([]byte(text)) {
			t.Errorf("troupe %q: %s", args, text)
		}
	}
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "o.db"), sqlite.Config{Synchronous: "off"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	event := &journal.Event{ID: "1", Type: "test.sent", Time: time.UnixMicro(math.MaxInt64), CorrelationID: "f", Data: []byte("{}")}
	err = j.Do(t.Context(), journal.Work{}, func(journal.TxFunc) ([]*journal.Event, error) { return []*journal.Event{event}, nil })
	if err != nil {
		t.Fatal(err)
	}
	api := audit.ObserverAPI{Ob: &audit.Observer{Journal: j}, Logger: slog.New(slog.DiscardHandler)}.Handler()
	for _, path := range []string{"/events", "/flows/f"} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"time":"9999-12-31T23:59:59.999999Z"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// What cannot be written is an error of the server, not an empty answer that says that all is well.
func TestAnAnswerThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	a := &audit.ObserverAPI{Logger: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	a.Answer(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/events", nil), func(*http.Request) (any, error) { return math.Inf(1), nil })
	if w.Code != http.StatusInternalServerError || w.Header().Get("Content-Type") != "application/problem+json" || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
