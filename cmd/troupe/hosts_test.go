package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// mustStatus requests path with the given Host, and with the given Origin unless it is empty.
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

// The shop refuses a page whose name was made to point here, and a write from a page of another origin.
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
