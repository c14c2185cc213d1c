package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/internal/front"
)

const (
	keyHeader = "Idempotency-Key"
	maxKey    = 255 // characters
	maxWait   = time.Minute
)

// receipt is the answer to an accepted request: the order's id, status and links.
type receipt struct {
	ID     string            `json:"id"`
	Status order.Status      `json:"status"`
	Links  map[string]string `json:"links"`
}

// orderView is an order as clients see the order.
type orderView struct {
	ID              string               `json:"id"`
	CustomerID      string               `json:"customer_id"`
	Status          order.Status         `json:"status"`
	Lines           []orderevents.Line   `json:"lines"`
	Charges         []orderevents.Charge `json:"charges"`
	Total           int64                `json:"total_cents"`
	CancelRequested bool                 `json:"cancel_requested"`
	Credit          bool                 `json:"credit"`
	Reason          string               `json:"reason"`
	Links           map[string]string    `json:"links"`
}

func viewOrder(o order.Order) orderView {
	return orderView{
		o.ID, o.CustomerID, o.Status, o.Lines, o.Charges, o.Total, o.CancelRequested, o.Credit, o.Reason, linksOf(o),
	}
}

func orderPath(id string) string { return "/api/orders/" + url.PathEscape(id) }

// possible returns the actions that the order's status allows, by name and address.
func possible(o order.Order) map[string]string {
	switch {
	case o.Status == order.StatusPlaced && !o.CancelRequested:
		return map[string]string{"cancel": orderPath(o.ID) + "/cancel"}
	case o.Status == order.StatusCompleted:
		return map[string]string{"return": orderPath(o.ID) + "/return"}
	}
	return map[string]string{}
}

func linksOf(o order.Order) map[string]string {
	links := possible(o)
	links["self"], links["events"] = orderPath(o.ID), orderPath(o.ID)+"/events"
	return links
}

func (a *API) placeOrder(w http.ResponseWriter, r *http.Request) error {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	n, err := readBody(a, w, r, decodeOrder)
	if err != nil {
		return err
	}
	n.ID = newOrderID(time.Now())
	id, placed, err := a.cfg.Orders.Place(r.Context(), n, key)
	if err != nil {
		return err
	}
	o := order.Order{ID: id, Status: order.StatusPlaced}
	if !placed {
		if o, err = a.cfg.Orders.Get(r.Context(), id); err != nil {
			return err
		}
	}
	w.Header().Set("Location", orderPath(id))
	return a.accepted(w, r, o)
}

func (a *API) accepted(w http.ResponseWriter, r *http.Request, o order.Order) error {
	return a.reply(w, r, http.StatusAccepted, receipt{o.ID, o.Status, linksOf(o)})
}

// idempotencyKey returns the client's key for the request, or "" without a key. Only visible ASCII is sure to pass
// through a header unchanged.
func idempotencyKey(h http.Header) (string, error) {
	keys := h.Values(keyHeader)
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		return "", malformed("send one "+keyHeader, fault{Header: keyHeader, Detail: fmt.Sprintf("sent %d times", len(keys))})
	case keys[0] == "" || len(keys[0]) > maxKey:
		return "", malformed("the "+keyHeader+" is invalid",
			fault{Header: keyHeader, Detail: fmt.Sprintf("has %d characters: from 1 to %d", len(keys[0]), maxKey)})
	case strings.ContainsFunc(keys[0], func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "", malformed("the "+keyHeader+" is invalid",
			fault{Header: keyHeader, Detail: "must be visible ASCII characters, without spaces, such as a UUID"})
	}
	return keys[0], nil
}

func (a *API) getOrder(w http.ResponseWriter, r *http.Request) error {
	wait, err := waitTime(r.URL.Query())
	if err != nil {
		return err
	}
	if wait > 0 {
		if err := front.Unhurried(w, time.Now().Add(wait+front.WriteTimeout)); err != nil {
			return err
		}
	}
	o, err := a.awaitEnd(r.Context(), r.PathValue("id"), wait)
	if err != nil {
		return err
	}
	return a.reply(w, r, http.StatusOK, viewOrder(o))
}

// streamFlow answers with the events of an order's flow. The flow has the order's id.
func (a *API) streamFlow(w http.ResponseWriter, r *http.Request) error {
	if _, err := front.LastEvent(r.Header); err != nil {
		return err
	}
	id := r.PathValue("id")
	if _, err := a.cfg.Orders.Get(r.Context(), id); err != nil {
		return err
	}
	return a.cfg.Front.Stream(w, r, id)
}

func waitTime(query url.Values) (time.Duration, error) {
	if !query.Has("wait") {
		return 0, nil
	}
	wait, err := time.ParseDuration(query.Get("wait"))
	if err != nil || wait < 0 || wait > maxWait {
		return 0, malformed("the parameter wait is invalid",
			fault{Parameter: "wait", Detail: fmt.Sprintf("must be a duration from 0s to %v, such as 5s or 500ms", maxWait)})
	}
	return wait, nil
}

// awaitEnd returns the order once it has ended, the time is over, or the server stops.
func (a *API) awaitEnd(ctx context.Context, id string, wait time.Duration) (order.Order, error) {
	if wait == 0 {
		return a.cfg.Orders.Get(ctx, id)
	}
	release, err := a.cfg.Front.Hold()
	if err != nil {
		return order.Order{}, err
	}
	defer release()
	woken, stop := a.cfg.Front.Watch(id) // before the first Get, so that no end is missed
	defer stop()
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		o, err := a.cfg.Orders.Get(ctx, id)
		if err != nil || o.Status != order.StatusPlaced {
			return o, err
		}
		select {
		case <-woken:
		case <-over.C:
			return o, nil
		case <-a.cfg.Front.Stopping():
			return o, nil
		case <-ctx.Done():
			return o, ctx.Err()
		}
	}
}

func (a *API) cancelOrder(w http.ResponseWriter, r *http.Request) error {
	return a.endOrder(w, r, a.cfg.Orders.RequestCancel)
}

func (a *API) returnOrder(w http.ResponseWriter, r *http.Request) error {
	return a.endOrder(w, r, a.cfg.Orders.Return)
}

// endOrder requests an end of the order, and answers with the new status, or with the possible actions.
func (a *API) endOrder(
	w http.ResponseWriter, r *http.Request, request func(ctx context.Context, id, reason string) (bool, error),
) error {
	reason, err := readBody(a, w, r, decodeReason)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	_, refused := request(r.Context(), id, reason)
	late := errors.Is(refused, order.ErrEnded) || errors.Is(refused, order.ErrNotCompleted)
	if refused != nil && !late {
		return refused
	}
	o, err := a.cfg.Orders.Get(r.Context(), id)
	if err != nil {
		return err
	}
	if late {
		return tooLate(o)
	}
	return a.accepted(w, r, o)
}

func tooLate(o order.Order) *problem {
	p := &problem{Type: typed("too-late"), Title: "The order's status does not allow this", Status: http.StatusConflict, Possible: possible(o)}
	p.Detail = fmt.Sprintf("the order is %s", o.Status)
	if o.CancelRequested {
		p.Detail += ", and a cancellation was requested"
	}
	for name := range p.Possible {
		p.Detail += ": you can " + name + " the order"
	}
	if len(p.Possible) == 0 {
		p.Detail += ": no action is possible"
	}
	return p
}
