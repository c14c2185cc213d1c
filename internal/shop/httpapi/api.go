package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/httpserve"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Journal is what the API needs beside the modules: to read flows, to hear of news, and to know whether it takes
// writes.
// *sqlite.Journal is one.
type Journal interface {
	// Reader reads what is durable.
	Reader() *sqlite.Reader
	// Follow calls fn with durable events until ctx ends or fn fails; after below 0 means from now on.
	Follow(ctx context.Context, after int64, fn func(*journal.Event) error, types ...string) error
	// Health says why the journal cannot write at the moment, or nil. It asks nobody and waits for nothing.
	Health() error
}

// Config says what the API serves. Orders, Stock and Journal are needed; the zero value of the others works.
type Config struct {
	Orders  *handlers.Orders
	Stock   *handlers.Stock
	Journal Journal
	// Modules are the names of those that run here. What is asked of another is refused, with advice. Defaults to all.
	Modules []string
	// Peers are the base URLs, such as http://10.0.0.1:8080, of the deployables that run other modules, by module: clients are
	// told of them. Defaults to none.
	Peers map[string]string
	// Ready says why the bus takes no work, or nil, as bus.Bus does. Defaults to nil at all times.
	Ready func() error
	// Hosts are names that requests may be for beside localhost and IP addresses. Defaults to none.
	Hosts []string
	// MaxHeld is how many streams and waits may be open at once. Defaults to half of the connections that there may be.
	MaxHeld int
	// Links says how it stands between this deployable and the others, as bus.Bus does. Defaults to no links.
	Links func() []bus.Link
	// Heartbeat is how often a stream in which nothing happens says that it is alive. Defaults to 15 s.
	Heartbeat time.Duration
	// ShutdownTimeout is how long requests may go on after Serve's context has ended. Defaults to 10 s.
	ShutdownTimeout time.Duration
	// Logger takes one line for every request that fails here, not for those that are refused. While the shop can serve none, such as
	// on a full disk, it is one a minute with their number. Defaults to slog.Default.
	Logger *slog.Logger
}

// Validate joins everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Orders == nil || c.Stock == nil || c.Journal == nil {
		errs = append(errs, errors.New("fields are missing: Orders, Stock and Journal are needed"))
	}
	if c.Heartbeat < 0 || c.ShutdownTimeout < 0 || c.MaxHeld < 0 {
		errs = append(errs, fmt.Errorf("field Heartbeat is %v, ShutdownTimeout %v, MaxHeld %d: want 0 for the default, or more", c.Heartbeat, c.ShutdownTimeout, c.MaxHeld))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Heartbeat == 0 {
		c.Heartbeat = 15 * time.Second
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 10 * time.Second
	}
	if c.MaxHeld == 0 {
		c.MaxHeld = httpserve.Limits().Held
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.Links == nil {
		c.Links = func() []bus.Link { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// API is the shop over HTTP. It is an http.Handler for use behind Serve, which feeds it the news that waits and streams
// live on.
type API struct {
	cfg      Config
	mux      *http.ServeMux
	news     news
	troubles troubles
	intake   intake
	held     chan struct{} // full while as many streams and waits are open as may be
	stopping chan struct{} // closed when waits and streams are to end
}

// New makes the API of a shop that is wired; it answers properly once the shop's bus runs.
func New(c Config) (*API, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("httpapi: invalid config: %w", err)
	}
	c = c.withDefaults()
	a := &API{cfg: c, mux: http.NewServeMux(), intake: newIntake(), held: make(chan struct{}, c.MaxHeld), stopping: make(chan struct{})}
	a.troubles = troubles{logger: c.Logger, routes: map[string]*trouble{}}
	a.news = news{journal: c.Journal, logger: c.Logger, watchers: map[string]map[chan struct{}]bool{}}
	a.handle("POST /api/orders", a.of("order", a.placeOrder))
	a.handle("GET /api/orders/{id}", a.of("order", a.getOrder))
	a.handle("GET /api/orders/{id}/events", a.of("order", a.streamFlow))
	a.handle("POST /api/orders/{id}/cancel", a.of("order", a.cancelOrder))
	a.handle("POST /api/orders/{id}/return", a.of("order", a.returnOrder))
	a.handle("GET /api/stock/{sku}", a.of("inventory", a.getStock))
	a.handle("PUT /api/stock/{sku}", a.of("inventory", a.putStock))
	a.handle("GET /healthz", a.health)
	a.handle("GET /readyz", a.ready)
	return a, nil
}

// handle routes pattern to h, whose error becomes the answer.
func (a *API) handle(pattern string, h func(http.ResponseWriter, *http.Request) error) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		switch err := h(w, r); {
		case err == nil:
			a.troubles.served(r.Context(), r.Pattern)
		case !errors.Is(err, errLeft):
			a.refuse(w, r, err)
		}
	})
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	res := &response{ResponseWriter: w}
	defer a.recovered(res, r)
	res.Header().Set("X-Content-Type-Options", "nosniff")
	res.Header().Set("Cache-Control", "no-store") // orders and stock change by themselves
	if h, pattern := a.mux.Handler(r); pattern == "" {
		a.refuse(res, r, unrouted(h, r))
		return
	}
	a.mux.ServeHTTP(res, r)
}

// recovered makes a panic a line in the log and, where that is still possible, an answer.
func (a *API) recovered(res *response, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { // the server's own way to cut a connection
		panic(v)
	}
	a.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "a request panicked", slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if res.begun {
		panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
	}
	a.send(res, r, about(http.StatusInternalServerError, "the server made a mistake; it is in its log"))
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

// unrouted is why the mux has nothing for r: h is what it would answer with.
func unrouted(h http.Handler, r *http.Request) *problem {
	answer := discard{http.Header{}}
	h.ServeHTTP(answer, r)
	allow := answer.header.Get("Allow")
	if allow == "" {
		return about(http.StatusNotFound, "there is nothing at "+r.URL.Path)
	}
	p := about(http.StatusMethodNotAllowed, r.Method+" is not possible here, only "+allow)
	p.header = http.Header{"Allow": {allow}}
	return p
}

// discard keeps the header of an answer that nobody gets.
type discard struct{ header http.Header }

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return d.header }

// Write implements http.ResponseWriter. It keeps nothing.
func (d discard) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter. It does nothing.
func (d discard) WriteHeader(int) {}
