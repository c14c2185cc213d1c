package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// readyTimeout is how long a try of the journal may wait for its turn.
const readyTimeout = 5 * time.Second

type health struct {
	Status string `json:"status"`
	Links  []Link `json:"links,omitempty"`
}

func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	return a.reply(w, r, http.StatusOK, health{Status: "alive"})
}

// ready does not depend on the links: without them a deployable takes work all the same, and taken out of service by whoever
// watches this it would do nobody any good.
func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := a.tryBus(ctx); err != nil {
		return unready("the bus", err)
	}
	if err := tryWrite(ctx, a.cfg.Journal); err != nil {
		return unready("the journal", err)
	}
	h := health{Status: "ready"}
	for _, l := range a.cfg.Links() {
		v := ViewLink(l)
		if h.Links = append(h.Links, v); !v.OK() {
			h.Status = "degraded"
		}
	}
	return a.reply(w, r, http.StatusOK, h)
}

// tryBus has nothing received, but by way of the bus. That this is not to be done here does not mean that the bus does not run.
func (a *API) tryBus(ctx context.Context) error {
	_, err := a.cfg.Stock.Receive(ctx, nil)
	if errors.Is(err, bus.ErrElsewhere) && !errors.Is(err, bus.ErrNotRunning) {
		return nil
	}
	return err
}

func unready(what string, err error) *problem {
	p := unavailable(err)
	p.Title, p.Detail = "The shop is not ready", fmt.Sprintf("%s takes no work: %v", what, err)
	return p
}

// rewrite changes nothing, and is written, committed and synced all the same: a full disk does not hide from it.
const rewrite = `UPDATE subscriptions SET cursor = cursor WHERE id = (SELECT min(id) FROM subscriptions)`

func tryWrite(ctx context.Context, j Journal) error {
	return j.Do(ctx, journal.Work{Name: "readiness probe"}, func(tx journal.TxFunc) ([]*journal.Event, error) {
		_, err := tx().ExecContext(context.WithoutCancel(ctx), rewrite)
		return nil, err
	})
}
