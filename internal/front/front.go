// Package front is the HTTP server of a deployable: the program's routes, health, and the flows of the journal.
//
//	GET /healthz                    the process is alive
//	GET /readyz                     the modules and the journal take work; the links to the other deployables
//	GET /-/flows/{id}               a flow as JSON, like the command trace; ?wait=5s waits until the flow is at rest
//	GET /-/flows/{id}/events        the events of a flow as Server-Sent Events
//
// All other paths are the program's. Refusals are application/problem+json (RFC 9457).
package front

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/httpserve"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Journal is the part of a journal that a Front uses. *sqlite.Journal implements Journal.
type Journal interface {
	// Reader reads durable events.
	Reader() *sqlite.Reader
	// Follow calls fn with durable events after seq after, until ctx ends or fn fails; a negative after means from now
	// on.
	Follow(ctx context.Context, after int64, fn func(*journal.Event) error, types ...string) error
	// Health returns the reason why the journal cannot write, or nil. Health does not write or wait.
	Health() error
}

// Config configures a Front. Journal is required. Other fields have defaults.
type Config struct {
	Journal Journal
	// Ready returns the reason why the bus takes no work, or nil, like bus.Bus. Defaults to nil at all times.
	Ready func() error
	// Links returns the links to other deployables, like bus.Bus. Defaults to no links.
	Links func() []bus.Link
	// Peers are base URLs of other deployables by module, such as http://10.0.0.1:8080. Defaults to no peers.
	Peers map[string]string
	// Hosts are accepted host names of requests, beside localhost and IP addresses. Defaults to no names.
	Hosts []string
	// MaxHeld limits the open streams and waits. Defaults to half of the possible connections.
	MaxHeld int
	// Heartbeat is the time between two signs of life on a stream without events. Defaults to 15 s.
	Heartbeat time.Duration
	// ShutdownTimeout is how long requests may go on after the context of Serve has ended. Defaults to 10 s.
	ShutdownTimeout time.Duration
	// Logger takes one line for every request that fails here. Defaults to slog.Default.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, 10*time.Second)
	c.MaxHeld = cmp.Or(c.MaxHeld, httpserve.Limits().Held)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.Links == nil {
		c.Links = func() []bus.Link { return nil }
	}
	return c
}

// Front is the server. Several goroutines may call the methods at the same time.
type Front struct {
	cfg      Config
	news     news
	held     chan struct{} // full while as many streams and waits are open as there may be
	stopping chan struct{} // closed when streams and waits are to end
}

// New returns a Front, which serves nothing before Serve.
func New(c Config) *Front {
	c = c.withDefaults()
	return &Front{
		cfg: c, held: make(chan struct{}, c.MaxHeld), stopping: make(chan struct{}),
		news: news{journal: c.Journal, logger: c.Logger, watchers: map[string]map[chan struct{}]bool{}},
	}
}

// Stopping returns a channel that is closed when the server stops. Waiting requests must then be answered.
func (f *Front) Stopping() <-chan struct{} { return f.stopping }

// Watch returns a channel that receives a value when a flow may have a new event, until stop is called.
func (f *Front) Watch(flow string) (woken <-chan struct{}, stop func()) { return f.news.watch(flow) }

// Watching returns the number of requests that watch a flow.
func (f *Front) Watching(flow string) int { return f.news.watching(flow) }

// ErrBusy is the error of Hold when too many streams and waits are open.
var ErrBusy = errors.New("too many streams and waits are open")

// Hold counts a waiting request until release is called.
func (f *Front) Hold() (release func(), err error) {
	select {
	case f.held <- struct{}{}:
		return func() { <-f.held }, nil
	default:
		return nil, fmt.Errorf("%w: %d, which is the most: close one, or try again", ErrBusy, cap(f.held))
	}
}

// Paths are examples of reserved paths.
var Paths = []string{"/healthz", "/readyz", "/metrics", "/ui", "/ui/x", "/-/flows/x", "/-/flows/x/events", "/-/x"}

// Reserved reports whether a pattern of http.ServeMux, such as "GET /healthz", is for a reserved path. The pattern
// "/" is not: reserved paths come before the program's routes.
func Reserved(pattern string) bool {
	path := pattern
	if _, after, ok := strings.Cut(pattern, " "); ok {
		path = strings.TrimLeft(after, " \t")
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Contains([]string{"healthz", "readyz", "metrics", "ui", "-"}, first)
}

// handler serves reserved paths, and passes other requests to routes.
func (f *Front) handler(routes http.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /healthz": f.healthz, "GET /readyz": f.readyz, "GET /-/flows/{id}": f.flow, "GET /-/flows/{id}/events": f.events,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Cache-Control", "no-store")
			if err := serve(w, r); err != nil {
				f.Refuse(w, r, err)
			}
		})
	}
	return f.recovered(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if routes == nil || Reserved(r.URL.Path) {
			mux.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	}))
}

// recovered answers 500 when a handler panics, or cuts the connection when the answer has begun.
func (f *Front) recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res := &response{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { // the way of package http to cut a connection
				panic(v)
			}
			f.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "a request panicked", slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			if res.begun {
				panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
			}
			httpserve.Refuse(w, r, http.StatusInternalServerError, "the server failed; its log says why")
		}()
		h.ServeHTTP(res, r)
	})
}

// Begun reports whether the answer on w has begun, when a Front serves w or a writer that w unwraps to.
func Begun(w http.ResponseWriter) bool {
	for {
		switch inner := w.(type) {
		case *response:
			return inner.begun
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return false
		}
	}
}

// response knows whether the answer has begun.
type response struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter, and notes that the answer has begun.
func (r *response) WriteHeader(status int) {
	r.begun = true
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter, and notes that the answer has begun.
func (r *response) Write(b []byte) (int, error) {
	r.begun = true
	return r.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController what it controls.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }
