package audit

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/httpserve"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Time limits for a request, and for all requests after the observer is stopped.
const (
	observerRequestTimeout  = 2 * time.Minute
	observerShutdownTimeout = 10 * time.Second
)

// serveObserver answers requests on l until ctx ends, and closes l.
func serveObserver(ctx context.Context, l net.Listener, a ObserverAPI, hosts []string) error {
	srv := httpserve.New(httpserve.Config{
		Handler: a.Handler(), Hosts: hosts, Probes: []string{"/healthz", "/readyz"},
		ReadTimeout: observerRequestTimeout, WriteTimeout: observerRequestTimeout, Logger: a.Logger,
	})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), observerShutdownTimeout)
	defer cancel()
	if srv.Shutdown(limit) != nil {
		_ = srv.Close() // some requests took too long
	}
	return nil
}

// ObserverAPI serves the journal of an observer over HTTP.
type ObserverAPI struct {
	O      *console.Options
	Ob     *Observer
	Logger *slog.Logger
	heavy  chan struct{} // capacity 1: one audit at a time, because an audit reads the whole journal
}

// Handler returns the routes of the observer.
func (a ObserverAPI) Handler() http.Handler {
	a.heavy = make(chan struct{}, 1)
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"GET /flows/{id}": a.flows, "GET /events": a.events, "GET /verify": a.verify, "GET /readyz": a.ready,
		"GET /healthz": func(*http.Request) (any, error) { return map[string]string{"status": "alive"}, nil },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.Answer(w, r, answer) })
	}
	return mux
}

// refusal is an answer in the form of RFC 9457.
type refusal struct {
	Type   string           `json:"type"`
	Title  string           `json:"title"`
	Status int              `json:"status"`
	Detail string           `json:"detail"`
	Links  []httpserve.Link `json:"links,omitempty"`
}

// Error implements error.
func (r *refusal) Error() string { return r.Detail }

func refuse(status int, err error) *refusal {
	return &refusal{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: err.Error()}
}

// Answer answers r with the value or the error of with, as JSON.
func (a ObserverAPI) Answer(w http.ResponseWriter, r *http.Request, with func(*http.Request) (any, error)) {
	value, err := with(r)
	status, mediaType := http.StatusOK, "application/json"
	if err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			refused = refuse(http.StatusInternalServerError, errors.New("the server failed: its log has the error"))
			if r.Context().Err() == nil { // the client has not left
				a.Logger.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
			}
		}
		value, status, mediaType = refused, refused.Status, "application/problem+json"
	}
	body, err := encodeJSON(value) // before the status is sent: an error changes the status
	if err != nil {
		a.Logger.LogAttrs(r.Context(), slog.LevelError, "answer cannot be encoded as JSON", slog.String("path", r.URL.Path), slog.Any("error", err))
		httpserve.Refuse(w, r, http.StatusInternalServerError, "the answer cannot be encoded as JSON: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has left
}

func encodeJSON(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return b.Bytes(), err
}

func (a ObserverAPI) flows(r *http.Request) (any, error) {
	flows, err := console.ReadFlows(r.Context(), a.Ob.Journal.Reader(), r.PathValue("id"))
	switch {
	case errors.Is(err, sqlite.ErrNotFound):
		return nil, refuse(http.StatusNotFound, errors.New("the observer has no event with this id or key"))
	case errors.Is(err, sqlite.ErrTooMany):
		return nil, refuse(http.StatusUnprocessableEntity, err)
	}
	return flows, err
}

// eventsAtOnce limits the events of an answer.
const eventsAtOnce = 1000

func (a ObserverAPI) events(r *http.Request) (any, error) {
	q := r.URL.Query()
	f := sqlite.EventFilter{Types: q["type"], Key: q.Get("key"), Flow: q.Get("flow"), Limit: 100, Newest: !q.Has("after")}
	for name, set := range map[string]func(int64){
		"after": func(n int64) { f.AfterSeq = n }, "limit": func(n int64) { f.Limit = int(min(n, eventsAtOnce)) },
	} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil || n < 0 || name == "limit" && n == 0 {
			return nil, refuse(http.StatusBadRequest, fmt.Errorf("%s is %q: want a number of 0 or more, and of 1 or more for limit", name, q.Get(name)))
		}
		set(n)
	}
	events := []journal.EventRecord{}
	err := a.Ob.Journal.Reader().Events(r.Context(), f, func(e *journal.Event) error {
		events = append(events, journal.NewEventRecord(e))
		return nil
	})
	return events, err
}

func (a ObserverAPI) verify(r *http.Request) (any, error) {
	select {
	case a.heavy <- struct{}{}:
		defer func() { <-a.heavy }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	_, unread := a.Ob.read()
	v, err := VerifyObserved(r.Context(), a.O, a.Ob.Journal.Reader(), time.Now().Add(-grace))
	if v.Unread = unread; len(unread) > 0 {
		v.Settled = false
	}
	return v, err
}

func (a ObserverAPI) ready(r *http.Request) (any, error) {
	if err := a.Ob.Journal.Health(); err != nil {
		return nil, refuse(http.StatusServiceUnavailable, fmt.Errorf("the journal of the observer cannot be written: %w", err))
	}
	links, unread := a.Ob.read()
	if len(unread) > 0 {
		refused := refuse(http.StatusServiceUnavailable, fmt.Errorf("%d of %d topics are not being read; the observer retries", len(unread), len(links)))
		refused.Links = links
		return nil, refused
	}
	var gaps []string
	err := a.Ob.Journal.View(r.Context(), func(tx *sql.Tx) (err error) {
		gaps, err = sqlite.Gaps(r.Context(), tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if gaps = missed(a.O, gaps); len(gaps) > 0 {
		return map[string]any{"status": "degraded", "gaps": gaps, "links": links}, nil
	}
	return map[string]any{"status": "ready", "links": links}, nil
}
