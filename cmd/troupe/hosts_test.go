package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mustStatus asks for path as if by host, from a page of origin where there is one.
func mustStatus(t *testing.T, method, url, host, origin string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(`{"quantity": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Host = host; origin != "" {
		r.Header.Set("Origin", origin)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// A page whose name was made to lead here is refused, and so is one that writes from elsewhere.
func TestRunAnswersForItsHosts(t *testing.T) {
	t.Parallel()
	r := MustStartRun(t, filepath.Join(t.TempDir(), "shop.db"), "--hosts", "shop.example")
	for _, c := range []struct {
		method, host, origin string
		want                 int
	}{
		{"GET", "shop.example", "", http.StatusNotFound}, {"GET", "localhost:1", "", http.StatusNotFound},
		{"GET", "evil.example", "", http.StatusMisdirectedRequest}, {"PUT", "evil.example:18080", "http://evil.example:18080", http.StatusMisdirectedRequest},
		{"PUT", "shop.example", "http://evil.example", http.StatusForbidden}, {"PUT", "shop.example", "http://shop.example", http.StatusCreated},
	} {
		if got := mustStatus(t, c.method, r.url+"/api/stock/TEA", c.host, c.origin); got != c.want {
			t.Errorf("%s for %s from %q: %d, want %d", c.method, c.host, c.origin, got, c.want)
		}
	}
	r.MustStop(t)
}

func TestHostsOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{"127.0.0.1:80": {"127.0.0.1", "a"}, ":80": {"a"}, "shop:80": {"shop", "a"}, "nonsense": {"a"}} {
		if got := hostsOf(address, []string{"a"}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// What cannot be encoded is a failure that says so, and no empty answer that looks like success.
func TestTheObserverEncodesBeforeItAnswers(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	a := observerAPI{logger: slog.New(slog.DiscardHandler)}
	a.answer(w, httptest.NewRequest("GET", "/events", nil), func(*http.Request) (any, error) {
		return []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
	})
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "cannot be shown as JSON") {
		t.Errorf("answer %d %q", w.Code, w.Body)
	}
}
