package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/transports/sqlite"
)

// local is a transport that leads nowhere.
type local struct{ *gochannel.GoChannel }

func (local) Features() wire.Features { return wire.Features{Name: "local"} }

// MustPart runs a part of a shop behind its API: the modules that are named.
func MustPart(tb testing.TB, change func(*front.Config, *Config), modules ...string) *shop {
	tb.Helper()
	s := &shop{outside: &outside{open: make(chan struct{}), waits: make(chan struct{}, 1)}, log: &log{}, served: make(chan error, 1)}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	j, err := sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "part.db"), sqlite.Config{Synchronous: "normal", Logger: logger})
	if err != nil {
		tb.Fatal(err)
	}
	s.journal = j
	carrier := local{gochannel.NewGoChannel(gochannel.Config{}, nil)}
	b := bus.New(j, bus.Config{Logger: logger, Modules: modules, Transport: carrier})
	c := Config{Orders: handlers.Order(b), Stock: handlers.Inventory(b), Logger: logger}
	s.links = b.Links
	f := front.Config{Journal: j, Logger: logger, Links: b.Links}
	handlers.Payment(b, s.outside, 2)
	handlers.Shipping(b, s.outside, 2)
	handlers.Notification(b)
	if change != nil {
		change(&f, &c)
	}
	s.open(tb, f, c)
	s.serve(tb, b)
	return s
}

// misdirected is the answer of a deployable that does not run the module of a request.
type misdirected struct {
	problem
	Module, There string
	Here          []string
}

func TestWhatIsAskedOfAnotherDeployable(t *testing.T) {
	t.Parallel()
	s := MustPart(t, func(c *front.Config, _ *Config) {
		c.Peers = map[string]string{"order": "http://orders.internal:8080/shop/"}
	}, "payment", "shipping")
	for _, c := range []struct{ method, path, body, module, there string }{
		{"POST", "/api/orders", oneTea, "order", "http://orders.internal:8080/shop/api/orders"},
		{"GET", "/api/orders/a%2Fb?wait=1s&x=%3E", "", "order", "http://orders.internal:8080/shop/api/orders/a%2Fb?wait=1s&x=%3E"},
		{"GET", "/api/orders/x/events", "", "order", "http://orders.internal:8080/shop/api/orders/x/events"},
		{"POST", "/api/orders/x/cancel", `{"reason": "r"}`, "order", "http://orders.internal:8080/shop/api/orders/x/cancel"},
		{"POST", "/api/orders/x/return", `{"reason": "r"}`, "order", "http://orders.internal:8080/shop/api/orders/x/return"},
		{"GET", "/api/stock/TEA", "", "inventory", ""},
		{"PUT", "/api/stock/TEA", `{"quantity": 1}`, "inventory", ""},
	} {
		answer := s.do(t, s.MustRequest(t, c.method, c.path, c.body))
		p := MustDecode[misdirected](t, MustRead(t, answer))
		if answer.StatusCode != http.StatusMisdirectedRequest || answer.Header.Get("Content-Type") != "application/problem+json" || p.Status != 421 || p.Type != typed("elsewhere") {
			t.Errorf("%s %s: %s %+v", c.method, c.path, answer.Status, p)
		}
		if p.Module != c.module || !slices.Equal(p.Here, []string{"payment", "shipping"}) || p.There != c.there {
			t.Errorf("%s %s: problem %+v", c.method, c.path, p)
		}
		if !strings.Contains(p.Detail, "runs payment, shipping") || !strings.Contains(p.Detail, "ask the one that runs "+c.module) {
			t.Errorf("%s %s: detail %q", c.method, c.path, p.Detail)
		}
		link := ""
		if c.there != "" {
			link = "<" + c.there + `>; rel="alternate"`
		}
		if got := answer.Header.Get("Link"); got != link || answer.Header.Get("Location") != "" {
			t.Errorf("%s %s: link %q, want %q, location %q", c.method, c.path, got, link, answer.Header.Get("Location"))
		}
	}
	if text := s.log.String(); strings.Contains(text, "a request failed") {
		t.Errorf("what others answer is logged as a failure:\n%s", text)
	}
}

// What ends a header's value or its angle bracket early does not.
func TestALinkIsOneLink(t *testing.T) {
	t.Parallel()
	s := MustPart(t, func(c *front.Config, _ *Config) { c.Peers = map[string]string{"order": "http://h"} }, "payment")
	r := s.MustRequest(t, "GET", "/api/orders/x", "")
	r.URL.RawQuery = "q=>;<a%0d%0ab\""
	answer := s.do(t, r)
	if got := answer.Header.Get("Link"); strings.Count(got, ">") != 1 || strings.Count(got, "<") != 1 || strings.Count(got, `"`) != 2 {
		t.Errorf("link %q", got)
	}
}

// awaitLinks returns when the first try of every link is over.
func (s *shop) awaitLinks(tb testing.TB) {
	tb.Helper()
	for tick := time.NewTicker(time.Millisecond); slices.ContainsFunc(s.links(), func(l bus.Link) bool { return l.Err != nil }); {
		select {
		case <-tick.C:
		case <-tb.Context().Done():
			tb.Fatal("the links stand still")
		}
	}
}

func TestAPartIsReady(t *testing.T) {
	t.Parallel()
	for _, modules := range [][]string{{"payment"}, {"order"}, {"inventory", "notification"}} {
		s := MustPart(t, nil, modules...)
		s.awaitLinks(t)
		for path, want := range map[string]string{"/healthz": "alive", "/readyz": "ready"} {
			if code, _, body := s.call(t, "GET", path, ""); code != http.StatusOK || MustDecode[health](t, body).Status != want {
				t.Errorf("%s of %v: %d %s", path, modules, code, body)
			}
		}
	}
}

// A part whose bus does not run is not ready, whichever modules it would run.
func TestAPartThatDoesNotRunIsNotReady(t *testing.T) {
	t.Parallel()
	s := MustPart(t, func(c *front.Config, _ *Config) {
		c.Ready = bus.New(nil, bus.Config{Modules: []string{"payment"}}).Ready
	}, "payment")
	if code, _, body := s.call(t, "GET", "/readyz", ""); code != http.StatusServiceUnavailable || !strings.Contains(body, "not running") {
		t.Errorf("answer %d %s", code, body)
	}
}

func TestALinkThatStandsDegrades(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 31, 9, 0, 0, 0, time.FixedZone("CET", 3600))
	links := []bus.Link{{Topic: "events", Out: true, Lag: 7, Err: errors.New("no broker answers <h:1> -> start it & wait"), Since: since}, {Topic: "order"}}
	s := MustShop(t, func(c *front.Config) { c.Links = func() []bus.Link { return links } })
	code, _, body := s.call(t, "GET", "/readyz", "")
	if want := `{"status":"degraded","links":[` +
		`{"topic":"events","direction":"out","state":"standing","error":"no broker answers <h:1> -> start it & wait","since":"2026-01-31T08:00:00Z","behind":7},` +
		`{"topic":"order","direction":"in","state":"ok","behind":0}]}` + "\n"; code != http.StatusOK || body != want {
		t.Errorf("answer %d %s, want 200 %s", code, body, want)
	}
}

func TestLinksThatWorkAreReady(t *testing.T) {
	t.Parallel()
	s := MustShop(t, func(c *front.Config) { c.Links = func() []bus.Link { return []bus.Link{{Topic: "order"}} } })
	if code, _, body := s.call(t, "GET", "/readyz", ""); code != http.StatusOK || MustDecode[health](t, body).Status != "ready" {
		t.Errorf("answer %d %s", code, body)
	}
}
