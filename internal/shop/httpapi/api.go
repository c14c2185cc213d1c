package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/internal/oncelog"
)

// Flows is what the API needs to wait for the flow of an order, and to stream it. *troupe.Deployable and *front.Front are Flows.
type Flows interface {
	// Watch returns a channel that gets a value when there may be something new in a flow, until stop is called.
	Watch(flow string) (woken <-chan struct{}, stop func())
	// Hold counts a request that is answered only after a while, until release is called.
	Hold() (release func(), err error)
	// Stream answers with the events of a flow as Server-Sent Events.
	Stream(w http.ResponseWriter, r *http.Request, flow string) error
	// Stopping returns a channel that is closed when waits are to end.
	Stopping() <-chan struct{}
}

// Config says what the API serves. Orders, Stock and Flows are required; the zero value of the others works.
type Config struct {
	Orders *handlers.Orders
	Stock  *handlers.Stock
	Flows  Flows
	// Modules are the names of those that run here. What is asked of another is refused, with advice. Defaults to all.
	Modules []string
	// Peers are the base URLs, such as http://10.0.0.1:8080, of the deployables that run other modules, by module: clients are
	// told of them. Defaults to none.
	Peers map[string]string
	// Logger takes one line for every request that fails here, not for those that are refused. While the shop can serve none, such as
	// on a full disk, it is one a minute with their number. Defaults to slog.Default.
	Logger *slog.Logger
}

// Validate reports fields that are missing.
func (c Config) Validate() error {
	if c.Orders == nil || c.Stock == nil || c.Flows == nil {
		return errors.New("fields are missing: Orders, Stock and Flows are required")
	}
	return nil
}

// API is the shop over HTTP.
type API struct {
	cfg      Config
	mux      *http.ServeMux
	troubles troubles
	intake   intake
}

// New makes the API of a shop that is wired; it answers properly once the shop's bus runs.
func New(c Config) (*API, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("httpapi: invalid config: %w", err)
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	a := &API{cfg: c, mux: http.NewServeMux(), intake: newIntake()}
	a.troubles = troubles{logger: c.Logger, routes: map[string]*oncelog.Problem{}}
	a.handle("POST /api/orders", a.of("order", a.placeOrder))
	a.handle("GET /api/orders/{id}", a.of("order", a.getOrder))
	a.handle("GET /api/orders/{id}/events", a.of("order", a.streamFlow))
	a.handle("POST /api/orders/{id}/cancel", a.of("order", a.cancelOrder))
	a.handle("POST /api/orders/{id}/return", a.of("order", a.returnOrder))
	a.handle("GET /api/stock/{sku}", a.of("inventory", a.getStock))
	a.handle("PUT /api/stock/{sku}", a.of("inventory", a.putStock))
	return a, nil
}

// handle routes pattern to h, whose error becomes the answer.
func (a *API) handle(pattern string, h func(http.ResponseWriter, *http.Request) error) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		switch err := h(w, r); {
		case err == nil:
			a.troubles.served(r.Context(), r.Pattern)
		case !errors.Is(err, front.ErrLeft):
			a.refuse(w, r, err)
		}
	})
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store") // orders and stock change by themselves
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
		return about(http.StatusNotFound, "there is nothing at "+r.URL.Path)
	}
	p := about(http.StatusMethodNotAllowed, r.Method+" is not possible here, only "+allow)
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
