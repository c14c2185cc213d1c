package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// problem is a refusal in the form of RFC 9457.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail,omitempty"`
	Instance string   `json:"instance,omitempty"`
	Module   string   `json:"module,omitempty"` // that was asked, and runs elsewhere
	Here     []string `json:"here,omitempty"`   // the modules that run here
	There    string   `json:"there,omitempty"`  // the same request, where the module runs

	cause error
}

// Error implements error.
func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// Unwrap returns the cause, or nil.
func (p *problem) Unwrap() error { return p.cause }

func typed(name string) string { return "urn:problem-type:troupe:" + name }

// unavailable returns a temporary problem.
func unavailable(title, detail string, cause error) *problem {
	return &problem{Type: typed("unavailable"), Title: title, Status: http.StatusServiceUnavailable, Detail: detail, cause: cause}
}

func unready(what string, err error) *problem {
	return unavailable("Not ready", fmt.Sprintf("%s takes no work: %v", what, err), err)
}

// passing are temporary errors.
var passing = []error{
	ErrBusy, bus.ErrNotRunning, bus.ErrUnknown, journal.ErrUnavailable, journal.ErrClosed, journal.ErrAbandoned,
	context.Canceled, context.DeadlineExceeded,
}

// problemOf converts err for the client of r.
func (f *Front) problemOf(r *http.Request, err error) *problem {
	var p *problem
	var elsewhere *bus.ElsewhereError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &elsewhere):
		return f.elsewhere(r, elsewhere)
	case errors.Is(err, ErrBadRequest), errors.Is(err, bus.ErrBadID):
		return &problem{Type: typed("malformed"), Title: "The request cannot be read", Status: http.StatusBadRequest, Detail: err.Error()}
	case errors.Is(err, bus.ErrTooLarge):
		return &problem{Type: typed("too-large"), Title: "The request is too large", Status: http.StatusRequestEntityTooLarge, Detail: err.Error()}
	case slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }):
		return unavailable("This cannot be done at the moment", err.Error(), err)
	}
	return &problem{Type: "about:blank", Title: http.StatusText(http.StatusInternalServerError), Status: http.StatusInternalServerError,
		Detail: "the server failed; its log says why", cause: err}
}

// elsewhere names the deployable of the module. A redirect would be dangerous: clients send requests with their keys
// to the address of a redirect.
func (f *Front) elsewhere(r *http.Request, e *bus.ElsewhereError) *problem {
	p := &problem{Type: typed("elsewhere"), Title: "Another deployable answers this", Status: http.StatusMisdirectedRequest, Module: e.Module, Here: e.Here}
	p.Detail = fmt.Sprintf("this deployable runs %s: ask the one that runs %s", strings.Join(e.Here, ", "), e.Module)
	base := f.cfg.Peers[e.Module]
	if base == "" {
		return p
	}
	p.There = strings.TrimSuffix(base, "/") + r.URL.EscapedPath()
	if query := r.URL.Query().Encode(); query != "" { // in its normal form, which ends no header early
		p.There += "?" + query
	}
	p.Detail += ", at " + base
	return p
}

// Refuse answers r with an application/problem+json for err: 400 for ErrBadRequest and bus.ErrBadID, 413 for
// bus.ErrTooLarge, 421 for bus.ErrElsewhere, 503 for temporary errors, and 500 for other errors, whose text goes to
// the log only. A client that has left gets no answer.
func (f *Front) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ErrLeft) {
		return
	}
	p := *f.problemOf(r, err)
	if p.Instance = r.URL.EscapedPath(); p.Status == http.StatusInternalServerError && r.Context().Err() == nil {
		f.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "a request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Any("error", err))
	}
	if Begun(w) {
		panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
	}
	h := w.Header()
	if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	if p.There != "" {
		h.Set("Link", "<"+p.There+`>; rel="alternate"`)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, _ = w.Write(encode(p)) // a client that has left
}
