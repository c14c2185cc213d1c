package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/oncelog"
)

// troubles logs the requests that fail for a time, by route, because reads work while writes fail.
type troubles struct {
	logger *slog.Logger

	mu     sync.Mutex
	routes map[string]*oncelog.Problem // by the pattern of the route
}

// failed counts r as a failed request of its route.
func (t *troubles) failed(r *http.Request, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	problem := t.routes[r.Pattern]
	if problem == nil {
		problem = &oncelog.Problem{}
		t.routes[r.Pattern] = problem
	}
	if failures := problem.Failed(time.Now()); failures > 0 {
		t.logger.LogAttrs(r.Context(), slog.LevelError, "requests cannot be served at the moment", slog.String("route", r.Pattern),
			slog.String("path", r.URL.Path), slog.Int("requests", failures), slog.Any("error", err))
	}
}

// served ends the problem of a route, if any.
func (t *troubles) served(ctx context.Context, route string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	problem := t.routes[route]
	if problem == nil {
		return
	}
	if failures, lasted := problem.Over(time.Now()); failures > 0 {
		t.logger.LogAttrs(ctx, slog.LevelInfo, "requests are served again", slog.String("route", route), slog.Int("failed", failures),
			slog.Duration("after", lasted.Round(time.Millisecond)))
	}
}
