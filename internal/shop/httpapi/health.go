package httpapi

import (
	"fmt"
	"net/http"

	"github.com/troupebus/troupe/internal/httpserve"
)

type health struct {
	Status string           `json:"status"`
	Links  []httpserve.Link `json:"links,omitempty"`
}

func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	return a.reply(w, r, http.StatusOK, health{Status: "alive"})
}

// ready tells what the bus, the journal and the links know of themselves. It writes nothing and waits for nobody, so that it is
// answered under any load. It does not depend on the links: without them a deployable takes work all the same, and taken out of
// service by whoever watches this it would do nobody any good.
func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	if err := a.cfg.Ready(); err != nil {
		return unready("the bus", err)
	}
	if err := a.cfg.Journal.Health(); err != nil {
		return unready("the journal", err)
	}
	h := health{Status: "ready"}
	for _, l := range a.cfg.Links() {
		v := httpserve.ViewLink(l)
		if h.Links = append(h.Links, v); !v.OK() {
			h.Status = "degraded"
		}
	}
	return a.reply(w, r, http.StatusOK, h)
}

func unready(what string, err error) *problem {
	p := unavailable(err)
	p.Title, p.Detail = "The shop is not ready", fmt.Sprintf("%s takes no work: %v", what, err)
	return p
}
