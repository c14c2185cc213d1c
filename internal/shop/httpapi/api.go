package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/internal/oncelog"
)

// Front is the part of the deployable's HTTP server that the API needs. *troupe.Deployable and *front.Front implement
// Front.
type Front interface {
	// Watch returns a channel that receives a value when a flow may have a new event, until stop is called.
	Watch(flow string) (woken <-chan struct{}, stop func())
	// Hold counts a waiting request until release is called.
	Hold() (release func(), err error)
	// Stream answers with the events of a flow as Server-Sent Events.
	Stream(w http.ResponseWriter, r *http.Request, flow string) error
	// Stopping returns a channel that is closed when the server stops. Waiting requests must then be answered.
	Stopping() <-chan struct{}
	// Refuse answers 421 for bus.ErrElsewhere, with the deployable that runs the module.
	Refuse(w http.ResponseWriter, r *http.Request, err error)
}

// Config configures an API. Orders, Stock and Front are required.
type Config struct {
	Orders *handlers.Orders
	Stock  *handlers.Stock
	Front  Front
	// Logger gets a line for every failed request, but not for a refused request. While a route cannot serve requests,
	// such as on a full disk, the log gets one line a minute with the number of requests. Defaults to slog.Default.
	Logger *slog.Logger
}

// Validate reports missing fields.
func (c Config) Validate() error {
	if c.Orders == nil || c.Stock == nil || c.Front == nil {
		return errors.New("fields are missing: Orders, Stock and Front are required")
	}
	return nil
}

// API serves the shop over HTTP.
type API struct {
	cfg      Config
	mux      *http.ServeMux
	troubles troubles
	intake   intake
}

// New returns the API of a wired shop. Until the shop's bus runs, requests are answered with 503.
func New(c Config) (*API, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("httpapi: invalid config: %w", err)
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	a := &API{cfg: c, mux: http.NewServeMux(), intake: newIntake()}
	a.troubles = troubles{logger: c.Logger, routes: map[string]*oncelog.Problem{}}
	a.handle("POST /api/orders", a.placeOrder)
	a.handle("GET /api/orders/{id}", a.getOrder)
	a.handle("GET /api/orders/{id}/events", a.streamFlow)
	a.handle("POST /api/orders/{id}/cancel", a.cancelOrder)
	a.handle("POST /api/orders/{id}/return", a.returnOrder)
	a.handle("GET /api/stock/{sku}", a.getStock)
	a.handle("PUT /api/stock/{sku}", a.putStock)
	return a, nil
}

// handle registers h for pattern. An error of h becomes the answer.
func (a *API) handle(pattern string, h func(http.ResponseWriter, *http.Request) error) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		switch err := h(w, traced(r)); {
		case err == nil:
			a.troubles.served(r.Context(), r.Pattern)
		case errors.Is(err, bus.ErrElsewhere):
			a.cfg.Front.Refuse(w, r, err)
		case !errors.Is(err, front.ErrLeft):
			a.refuse(w, r, err)
		}
	})
}

// traceparent matches a header of version 00 of W3C Trace Context.
var traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traced returns r with a context that passes the traceparent of r on to all events of the flow.
func traced(r *http.Request) *http.Request {
	parent := r.Header.Get("Traceparent")
	if !traceparent.MatchString(parent) {
		return r
	}
	return r.WithContext(bus.With(r.Context(), "traceparent", parent))
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store") // orders and stock change without a request
	if h, pattern := a.mux.Handler(r); pattern == "" {
		a.refuse(w, r, unrouted(h, r))
		return
	}
	a.mux.ServeHTTP(w, r)
}

// unrouted returns the refusal of a request without a route. h is the answer of the mux.
func unrouted(h http.Handler, r *http.Request) *problem {
	answer := discard{http.Header{}}
	h.ServeHTTP(answer, r)
	allow := answer.header.Get("Allow")
	if allow == "" {
		return about(http.StatusNotFound, "no resource has the path "+r.URL.Path)
	}
	p := about(http.StatusMethodNotAllowed, "the path does not support "+r.Method+": use "+allow)
	p.header = http.Header{"Allow": {allow}}
	return p
}

// discard keeps the header of an answer, and drops the rest.
type discard struct{ header http.Header }

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return d.header }

// Write implements http.ResponseWriter, and drops b.
func (d discard) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter, and drops the status.
func (d discard) WriteHeader(int) {}
