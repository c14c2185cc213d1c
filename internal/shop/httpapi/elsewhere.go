package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/troupebus/troupe/bus"
)

// of makes h, which asks things of module, say who is to be asked when that runs in another deployable.
func (a *API) of(module string, h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		if errors.Is(err, bus.ErrElsewhere) {
			return a.elsewhere(module, r)
		}
		return err
	}
}

// elsewhere is no redirect: a client that follows one would send what may be an order, and a key to it, to wherever it points.
func (a *API) elsewhere(module string, r *http.Request) *problem {
	p := &problem{Type: typed("elsewhere"), Title: "Another deployable answers this", Status: http.StatusMisdirectedRequest, Module: module, Here: a.cfg.Modules}
	p.Detail = fmt.Sprintf("this deployable runs %s: ask the one that runs %s", strings.Join(a.cfg.Modules, ", "), module)
	base := a.cfg.Peers[module]
	if base == "" {
		return p
	}
	p.There = strings.TrimSuffix(base, "/") + r.URL.EscapedPath()
	if query := r.URL.Query().Encode(); query != "" { // in its normal form, which ends no header early
		p.There += "?" + query
	}
	p.Detail += ", at " + base
	p.header = http.Header{"Link": {"<" + p.There + `>; rel="alternate"`}}
	return p
}
