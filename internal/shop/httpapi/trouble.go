package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// tellAgain is how long the log hears nothing more of a trouble: a full disk refuses every request, for as long as clients try.
const tellAgain = time.Minute

// troubles tell the log of requests that the shop cannot serve at the moment: once, then at most once a minute with how many there were,
// and once when it is over. Each route is in trouble by itself: what is read goes on while nothing can be written.
type troubles struct {
	logger *slog.Logger

	mu     sync.Mutex
	routes map[string]*trouble // by the pattern of the route
}

// trouble is that of a route. It stays when it is over, so that one that comes and goes is not told of every time.
type trouble struct {
	since  time.Time // zero when it is over
	told   time.Time // when the log last heard of it
	known  bool      // the log has heard of it since it began
	all    int       // requests since then that failed
	untold int       // of them, those that the log has not heard of
}

// failed notes that r, which came to its route, cannot be served.
func (t *troubles) failed(r *http.Request, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.routes[r.Pattern]
	if one == nil {
		one = &trouble{}
		t.routes[r.Pattern] = one
	}
	now := time.Now()
	if one.since.IsZero() {
		one.since, one.known, one.all = now, false, 0
	}
	one.all++
	one.untold++
	if !one.told.IsZero() && now.Sub(one.told) < tellAgain {
		return
	}
	t.logger.LogAttrs(r.Context(), slog.LevelError, "requests cannot be served at the moment", slog.String("route", r.Pattern),
		slog.String("path", r.URL.Path), slog.Int("requests", one.untold), slog.Any("error", err))
	one.told, one.known, one.untold = now, true, 0
}

// served notes that a request came to its route, and went well.
func (t *troubles) served(ctx context.Context, route string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.routes[route]
	if one == nil || one.since.IsZero() {
		return
	}
	if one.known {
		t.logger.LogAttrs(ctx, slog.LevelInfo, "requests are served again", slog.String("route", route), slog.Int("failed", one.all),
			slog.Duration("after", time.Since(one.since).Round(time.Millisecond)))
		one.untold = 0
	}
	one.since = time.Time{}
}
