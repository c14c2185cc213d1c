package front

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// maxWait is the longest time that a request may wait for a flow.
const maxWait = time.Minute

// flow answers with one flow, or with all flows that have events of a key. With ?wait, the answer comes when every
// subscription has answered every event of the flows, when the time is over, or when the server stops. flow does not
// wait for delayed events.
func (f *Front) flow(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	wait, err := waitTime(r)
	if err != nil {
		return err
	}
	var over <-chan time.Time
	var woken <-chan struct{}
	pause := firstLook
	if wait > 0 {
		release, err := f.Hold()
		if err != nil {
			return err
		}
		defer release()
		if err := Unhurried(w, time.Now().Add(wait+WriteTimeout)); err != nil {
			return err
		}
		news, stop := f.Watch(id) // before the first read, so that no event is missed
		defer stop()
		timer := time.NewTimer(wait)
		defer timer.Stop()
		woken, over = news, timer.C
	}
	for {
		flows, err := f.flows(r.Context(), id)
		if err != nil && !(wait > 0 && errors.Is(err, errNoFlow)) {
			return err
		}
		if err == nil && (wait == 0 || journal.AtRest(flows)) {
			return reply(w, http.StatusOK, flows)
		}
		select {
		case <-woken:
			pause = firstLook
		case <-time.After(pause): // an answer without events is no news, and id may be the key of several flows
			pause = min(2*pause, lastLook)
		case <-over:
			wait = 0
		case <-f.stopping:
			wait = 0
		case <-r.Context().Done():
			return ErrLeft
		}
	}
}

// A request with ?wait reads the flow again after firstLook, and then after longer and longer pauses, up to lastLook.
const (
	firstLook = 20 * time.Millisecond
	lastLook  = time.Second
)

// errNoFlow is the error for an unknown id.
var errNoFlow = errors.New("no flow")

// flows returns the flow with an id, the flow of the event with an id, or the flows with events of a key.
func (f *Front) flows(ctx context.Context, id string) ([]*journal.Flow, error) {
	flows, err := f.cfg.Journal.Reader().Flow(ctx, id)
	switch {
	case errors.Is(err, sqlite.ErrNotFound):
		return nil, &problem{Type: typed("flow-not-found"), Title: "No such flow", Status: http.StatusNotFound,
			Detail: fmt.Sprintf("no flow, event or key %.200q is in this journal", id), cause: errNoFlow}
	case errors.Is(err, sqlite.ErrTooMany):
		return nil, &problem{Type: typed("too-many"), Title: "Too many flows", Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	}
	return flows, err
}

func waitTime(r *http.Request) (time.Duration, error) {
	q := r.URL.Query()
	if !q.Has("wait") {
		return 0, nil
	}
	wait, err := time.ParseDuration(q.Get("wait"))
	if err != nil || wait < 0 || wait > maxWait {
		return 0, fmt.Errorf("%w: wait must be a time from 0s to %v, such as 5s or 500ms", ErrBadRequest, maxWait)
	}
	return wait, nil
}
