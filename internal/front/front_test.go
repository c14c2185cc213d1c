package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

func TestReserved(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"/healthz", "GET /healthz", "GET  /healthz", "/readyz", "POST /metrics", "/ui", "/ui/", "/ui/index.html", "/-/", "GET /-/flows/{id}", "/-/x",
	} {
		if !Reserved(pattern) {
			t.Errorf("%q is free", pattern)
		}
	}
	for _, pattern := range []string{"", "/", "GET /", "/health", "/healthz2", "/api/healthz", "/uis", "/--", "POST /visits/{id}", "/{any}"} {
		if Reserved(pattern) {
			t.Errorf("%q is reserved", pattern)
		}
	}
	for _, path := range Paths {
		if !Reserved(path) {
			t.Errorf("%q, which is in Paths, is free", path)
		}
	}
}

// The program's routes get what is not the Front's own, even where they take all paths.
func TestRoutes(t *testing.T) {
	t.Parallel()
	routes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "mine "+r.URL.Path) })
	c := MustClinic(t, false, routes, nil)
	for path, want := range map[string]string{
		"/": "mine /", "/visits/1": "mine /visits/1", "/healthz": `{"status":"alive"}`, "/metrics": "404", "/ui": "404", "/-/x": "404",
	} {
		answer := c.do(t, "GET", path)
		text, err := io.ReadAll(answer.Body)
		if err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s: %q, want %q: %v", path, text, want, err)
		}
	}
	none := MustClinic(t, false, nil, nil)
	if answer := none.do(t, "GET", "/"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("without routes: %s", answer.Status)
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("secret of another") })
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic("then it broke")
	})
	c := MustClinic(t, false, mux, nil)
	if p, _ := MustGet[problem](t, c, "/panic", http.StatusInternalServerError); strings.Contains(p.Title+p.Detail, "secret") {
		t.Errorf("a client is told %+v", p)
	}
	if !c.log.says("secret of another") || !c.log.says("front_test.go") {
		t.Errorf("log: %s", c.log)
	}
	if _, err := io.ReadAll(c.do(t, "GET", "/half").Body); err == nil {
		t.Error("half an answer looks whole")
	}
	if !c.log.says("then it broke") {
		t.Errorf("log: %s", c.log)
	}
	MustGet[health](t, c, "/healthz", http.StatusOK)
}

// sick is a journal that takes no writes.
type sick struct{ Journal }

func (sick) Health() error { return errors.Join(journal.ErrUnavailable, errors.New("disk is full")) }

func TestHealth(t *testing.T) {
	t.Parallel()
	well := []bus.Link{{Topic: "visits"}}
	ill := append(well, bus.Link{Topic: "bills", Out: true, Err: errors.New("no broker"), Since: time.Now()})
	for _, tt := range []struct {
		name   string
		change func(*Config)
		code   int
		says   string
	}{
		{"ready", nil, http.StatusOK, "ready"},
		{"with links", func(c *Config) { c.Links = func() []bus.Link { return well } }, http.StatusOK, "ready"},
		{"with a link that stands", func(c *Config) { c.Links = func() []bus.Link { return ill } }, http.StatusOK, "degraded"},
		{"the journal is sick", func(c *Config) { c.Journal = sick{c.Journal} }, http.StatusServiceUnavailable, "disk is full"},
		{"the bus does not run", func(c *Config) { c.Ready = bus.New(nil, bus.Config{}).Ready }, http.StatusServiceUnavailable, "not running"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := MustClinic(t, false, nil, tt.change)
			if h, _ := MustGet[health](t, c, "/healthz", http.StatusOK); h.Status != "alive" {
				t.Errorf("alive: %+v", h)
			}
			if tt.code == http.StatusOK {
				if h, _ := MustGet[health](t, c, "/readyz", http.StatusOK); h.Status != tt.says {
					t.Errorf("ready: %+v", h)
				}
				return
			}
			p, h := MustGet[problem](t, c, "/readyz", tt.code)
			if p.Type != typed("unavailable") || !strings.Contains(p.Detail, tt.says) || h.Get("Retry-After") == "" {
				t.Errorf("not ready: %+v %v", p, h)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	away := &bus.ElsewhereError{Module: "bills", Here: []string{"notes", "visits"}}
	for _, tt := range []struct {
		name   string
		err    error
		status int
		kind   string
		detail string
	}{
		{"malformed", fmt.Errorf("%w: no patient", ErrBadRequest), http.StatusBadRequest, typed("malformed"), "no patient"},
		{"too large", fmt.Errorf("event: %w", bus.ErrTooLarge), http.StatusRequestEntityTooLarge, typed("too-large"), "event: "},
		{"elsewhere", fmt.Errorf("bill: %w", away), http.StatusMisdirectedRequest, typed("elsewhere"), "notes, visits: ask the one that runs bills, at http://b.example/"},
		{"busy", ErrBusy, http.StatusServiceUnavailable, typed("unavailable"), "too many"},
		{"closed", journal.ErrClosed, http.StatusServiceUnavailable, typed("unavailable"), "closed"},
		{"in time", context.DeadlineExceeded, http.StatusServiceUnavailable, typed("unavailable"), "deadline"},
		{"ours", errors.New("secret of another"), http.StatusInternalServerError, "about:blank", "its log says why"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := make(chan *Front, 1)
			routes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (<-server).Refuse(w, r, tt.err) })
			c := MustClinic(t, false, routes, func(c *Config) { c.Peers = map[string]string{"bills": "http://b.example/"} })
			server <- c.front
			p, h := MustGet[problem](t, c, "/visits/a%20b?x=1", tt.status)
			if p.Type != tt.kind || p.Status != tt.status || p.Instance != "/visits/a%20b" || !strings.Contains(p.Detail, tt.detail) || strings.Contains(p.Detail, "secret") {
				t.Errorf("answer %+v, want %s and %q", p, tt.kind, tt.detail)
			}
			if h.Get("Content-Type") != "application/problem+json" || (h.Get("Retry-After") != "") != (tt.status == http.StatusServiceUnavailable) {
				t.Errorf("header %v", h)
			}
			const there = "http://b.example/visits/a%20b?x=1"
			if is := p.There == there && p.Module == "bills" && h.Get("Link") == "<"+there+`>; rel="alternate"`; is != (tt.name == "elsewhere") {
				t.Errorf("it is there: %+v, %v", p, h)
			}
			if ours := tt.status == http.StatusInternalServerError; c.log.says("secret of another") != ours || c.log.says("a request failed") != ours {
				t.Errorf("log: %s", c.log)
			}
		})
	}
}

// TestBegun: a program's own middleware does not hide that an answer has begun.
func TestBegun(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	res := &response{ResponseWriter: rec}
	outer := &response{ResponseWriter: rec}
	wrapped := struct{ http.ResponseWriter }{res}
	for name, w := range map[string]http.ResponseWriter{"itself": res, "unwrapped": unwrapping{res}} {
		if Begun(w) {
			t.Errorf("%s: begun before anything was written", name)
		}
	}
	res.WriteHeader(http.StatusOK)
	for name, c := range map[string]struct {
		w    http.ResponseWriter
		want bool
	}{
		"itself": {res, true}, "unwrapped": {unwrapping{res}, true}, "another": {outer, false},
		"a writer that hides it": {wrapped, false}, "no Front": {rec, false},
	} {
		if got := Begun(c.w); got != c.want {
			t.Errorf("%s: begun %t, want %t", name, got, c.want)
		}
	}
}

// unwrapping is a writer of middleware.
type unwrapping struct{ inner http.ResponseWriter }

func (u unwrapping) Header() http.Header         { return u.inner.Header() }
func (u unwrapping) Write(b []byte) (int, error) { return u.inner.Write(b) }
func (u unwrapping) WriteHeader(status int)      { u.inner.WriteHeader(status) }
func (u unwrapping) Unwrap() http.ResponseWriter { return u.inner }
