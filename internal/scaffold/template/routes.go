package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/internal/scaffold/template/signup"
)

// maxBody is the largest body of a request, in bytes.
const maxBody = 64 << 10

// routes adds the routes of the program to mux. Every program has more: /healthz, /readyz and /-/flows/ID.
func routes(mux *http.ServeMux, d doors, here *troupe.Deployable) {
	mux.HandleFunc("PUT /signup/{id}", func(w http.ResponseWriter, r *http.Request) {
		q := signup.Request{ID: r.PathValue("id")}
		if err := read(w, r, &q); err != nil {
			here.Refuse(w, r, err)
			return
		}
		fresh, err := d.signup.Accept(r.Context(), q)
		switch {
		case errors.Is(err, signup.ErrInvalid):
			here.Refuse(w, r, fmt.Errorf("%w: %w", troupe.ErrBadRequest, err))
		case errors.Is(err, signup.ErrTaken):
			http.Error(w, err.Error(), http.StatusConflict)
		case err != nil:
			here.Refuse(w, r, err)
		case fresh:
			reply(w, http.StatusCreated, accepted{q.ID, "/-/flows/" + url.PathEscape(q.ID) + "?wait=5s"})
		default: // repeated by a client without an answer
			reply(w, http.StatusOK, accepted{q.ID, "/-/flows/" + url.PathEscape(q.ID) + "?wait=5s"})
		}
	})
	mux.HandleFunc("GET /signup/{id}", func(w http.ResponseWriter, r *http.Request) {
		entry, err := d.signup.Get(r.Context(), r.PathValue("id"))
		switch {
		case errors.Is(err, signup.ErrNotFound):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			here.Refuse(w, r, err)
		default:
			reply(w, http.StatusOK, entry)
		}
	})
}

// accepted is the answer to a request. The request is on disk. Flow is the path of all following events.
type accepted struct {
	ID   string `json:"id"`
	Flow string `json:"flow"`
}

// read reads the body of r, which is JSON, into v.
func read(w http.ResponseWriter, r *http.Request, v any) error {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	body.DisallowUnknownFields()
	if err := body.Decode(v); err != nil {
		return fmt.Errorf("%w: the body is not the JSON that is wanted: %w", troupe.ErrBadRequest, err)
	}
	return nil
}

// reply answers with v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only after the client has left
}
