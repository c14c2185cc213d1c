package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// readyTimeout is how long a try of the journal may wait for its turn.
const readyTimeout = 5 * time.Second

type health struct {
	Status string `json:"status"`
}

func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	return a.reply(w, r, http.StatusOK, health{"alive"})
}

func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if _, err := a.cfg.Stock.Receive(ctx, nil); err != nil { // nothing is received, but by way of the bus
		return unready("the bus", err)
	}
	if err := tryWrite(ctx, a.cfg.Journal); err != nil {
		return unready("the journal", err)
	}
	return a.reply(w, r, http.StatusOK, health{"ready"})
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
