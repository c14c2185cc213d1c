package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/internal/front"
)

// problem is a refusal in the form of RFC 9457. A problem is an error, so that a function can return the refusal.
type problem struct {
	Type     string            `json:"type"`
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail,omitempty"`
	Instance string            `json:"instance,omitempty"`
	Errors   []fault           `json:"errors,omitempty"`
	Possible map[string]string `json:"possible,omitzero"` // the possible actions, by name and address

	header http.Header // additional headers
	cause  error       // for the log
}

// fault is an invalid part of a request. Pointer, Parameter or Header names the part.
type fault struct {
	Detail    string `json:"detail"`
	Pointer   string `json:"pointer,omitempty"` // into the body, as a URI fragment: "#/lines/0/sku"
	Parameter string `json:"parameter,omitempty"`
	Header    string `json:"header,omitempty"`
}

// Error returns the title and the detail.
func (p *problem) Error() string { return "httpapi: " + p.Title + ": " + p.Detail }

// Unwrap returns the cause, or nil.
func (p *problem) Unwrap() error { return p.cause }

// about returns a problem without a type of its own: the status is the type.
func about(status int, detail string) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// The types of problems. doc.go lists them for clients.
func malformed(detail string, faults ...fault) *problem {
	return &problem{Type: typed("malformed"), Title: "The request cannot be read", Status: http.StatusBadRequest, Detail: detail, Errors: faults}
}

func invalid(faults []fault) *problem {
	return &problem{Type: typed("invalid"), Title: "The request is invalid", Status: http.StatusUnprocessableEntity,
		Detail: "correct the listed errors, and send the request again", Errors: faults}
}

func tooLarge(detail string) *problem {
	return &problem{Type: typed("too-large"), Title: "The request is too large", Status: http.StatusRequestEntityTooLarge, Detail: detail}
}

// unavailable does not promise that the request had no effect: after a failed sync of the disk, the effect is
// unknown.
func unavailable(cause error) *problem {
	return &problem{Type: typed("unavailable"), Title: "The shop is temporarily unavailable", Status: http.StatusServiceUnavailable,
		Detail: "try again: a request that may be repeated, or has an " + keyHeader + ", takes effect only once", header: http.Header{"Retry-After": {"1"}}, cause: cause}
}

func typed(name string) string { return "urn:problem-type:troupe:" + name }

// temporary are errors after which a client can try again.
var temporary = []error{
	bus.ErrNotRunning, bus.ErrUnknown, bus.ErrUnavailable, bus.ErrAbandoned, journal.ErrClosed,
	context.Canceled, context.DeadlineExceeded,
}

// asProblem converts err for the client.
func asProblem(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, front.ErrBadRequest):
		return malformed("the Last-Event-ID is invalid", fault{Header: front.LastEventID, Detail: "must be the id of an event of this stream"})
	case errors.Is(err, front.ErrBusy):
		p := unavailable(err)
		p.header.Set("Connection", "close") // frees the connection, because others may wait for a connection
		p.Detail = err.Error() + "; a request without wait is answered at once"
		return p
	case errors.Is(err, order.ErrNotFound):
		return &problem{Type: typed("order-not-found"), Title: "No such order", Status: http.StatusNotFound, Detail: "no order has this id"}
	case errors.Is(err, inventory.ErrNotFound):
		return &problem{Type: typed("sku-not-found"), Title: "No such article", Status: http.StatusNotFound,
			Detail: "the article has no stock: PUT the quantity of its first delivery"}
	case errors.Is(err, bus.ErrKeyReused):
		return &problem{Type: typed("key-reused"), Title: "The Idempotency-Key was used for another order", Status: http.StatusUnprocessableEntity,
			Detail: "use a new key for a new order", Errors: []fault{{Header: keyHeader, Detail: "was used for an order with different content"}}}
	case errors.Is(err, order.ErrInvalid):
		return invalid(wholeFaults(err))
	case errors.Is(err, bus.ErrTooLarge):
		return tooLarge("the order is larger than one event may be: split it")
	case slices.ContainsFunc(temporary, func(e error) bool { return errors.Is(err, e) }):
		return unavailable(err)
	}
	p = about(http.StatusInternalServerError, "the server failed; its log says why")
	p.cause = err
	return p
}

// wholeFaults lists the problems that an order.ErrInvalid wraps: problems of the order as a whole.
func wholeFaults(err error) []fault {
	if err == order.ErrInvalid { // the sentinel itself, beside the wrapped problems
		return nil
	}
	var several interface{ Unwrap() []error }
	if !errors.As(err, &several) {
		return []fault{{Pointer: "#", Detail: err.Error()}}
	}
	var faults []fault
	for _, e := range several.Unwrap() {
		faults = append(faults, wholeFaults(e)...)
	}
	return faults
}

// refuse answers with the problem for err. A failure of the server goes to the log.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := asProblem(err)
	gone := r.Context().Err() != nil // the client has left: not a failure of the server
	switch {
	case gone:
	case p.Status == http.StatusServiceUnavailable:
		a.troubles.failed(r, err)
	case p.Status >= http.StatusInternalServerError:
		a.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "a request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", p.Status), slog.Any("error", err))
	}
	if front.Begun(w) {
		panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
	}
	a.send(w, r, p)
}

// send answers with p.
func (a *API) send(w http.ResponseWriter, r *http.Request, p *problem) {
	answer := *p
	answer.Instance = r.URL.EscapedPath()
	for name, values := range p.header {
		w.Header()[name] = values
	}
	a.write(w, r, content{"application/problem+json", p.Status, answer})
}

// content is an answer: a value to encode as JSON.
type content struct {
	mediaType string
	status    int
	value     any
}

func (a *API) write(w http.ResponseWriter, r *http.Request, c content) {
	body := encode(c.value)
	w.Header().Set("Content-Type", c.mediaType)
	w.WriteHeader(c.status)
	if _, err := w.Write(body); err != nil {
		a.cfg.Logger.LogAttrs(r.Context(), slog.LevelDebug, "a client left before its answer", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
}

// reply answers with value as JSON.
func (a *API) reply(w http.ResponseWriter, r *http.Request, status int, value any) error {
	a.write(w, r, content{"application/json", status, value})
	return nil
}

// encode returns value as JSON and a line end. The answer is not HTML, so texts keep their <, > and &.
func encode(value any) []byte {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil { // does not happen with our own types
		panic(err)
	}
	return body.Bytes()
}
