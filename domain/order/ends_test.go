package order

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/internal/dbtest"
)

// MustComplete completes an open order.
func MustComplete(tb testing.TB, tx SQL, id string) Completion {
	tb.Helper()
	c, changed, err := Complete(tb.Context(), tx, id)
	if err != nil || !changed {
		tb.Fatalf("completed %v, %v", changed, err)
	}
	return c
}

// MustCancel cancels an open order.
func MustCancel(tb testing.TB, tx SQL, id string) orderevents.Cancelled {
	tb.Helper()
	e, changed, err := Cancel(tb.Context(), tx, id, "declined")
	if err != nil || !changed {
		tb.Fatalf("cancelled %v, %v", changed, err)
	}
	return e
}

// MustRequest asks for an open order to be cancelled.
func MustRequest(tb testing.TB, tx SQL, id string) {
	tb.Helper()
	e, changed, err := RequestCancel(tb.Context(), tx, id, "changed my mind")
	if want := (orderevents.CancelRequested{OrderID: id, Reason: "changed my mind"}); err != nil || !changed || e != want {
		tb.Fatalf("requested %v %+v, %v; want %+v", changed, e, err, want)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustPlace(t, tx, "o1")
	c := MustComplete(t, tx, "o1")
	if want := (orderevents.Completed{OrderID: "o1", CustomerID: "c1", Total: 1730}); c.Completed != want || c.Returned != nil {
		t.Errorf("got %+v, want %+v alone", c, want)
	}
	MustStand(t, tx, "o1", StatusCompleted)
}

func TestCompleteAfterCancelRequested(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustPlace(t, tx, "o1")
	MustRequest(t, tx, "o1")
	MustStand(t, tx, "o1", StatusPlaced)
	c := MustComplete(t, tx, "o1")
	want := &orderevents.Returned{OrderID: "o1", Lines: twoLines, Refund: 1730, Reason: "changed my mind"}
	if c.Completed.OrderID != "o1" || !reflect.DeepEqual(c.Returned, want) {
		t.Errorf("got %+v, want it completed and %+v", c, want)
	}
	MustStand(t, tx, "o1", StatusReturned)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustPlace(t, tx, "o1")
	MustRequest(t, tx, "o1")
	want := orderevents.Cancelled{OrderID: "o1", CustomerID: "c1", Reason: "declined"}
	if e := MustCancel(t, tx, "o1"); e != want {
		t.Errorf("got %+v, want %+v", e, want)
	}
	o, err := Get(t.Context(), tx, "o1")
	if err != nil || o.Status != StatusCancelled || o.Reason != "declined" || !o.CancelRequested {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestReturn(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustPlace(t, tx, "o1")
	MustComplete(t, tx, "o1")
	e, changed, err := Return(t.Context(), tx, "o1", "too small")
	want := orderevents.Returned{OrderID: "o1", Lines: twoLines, Refund: 1730, Reason: "too small"}
	if err != nil || !changed || !reflect.DeepEqual(e, want) {
		t.Errorf("returned %v %+v, %v; want %+v", changed, e, err, want)
	}
	MustStand(t, tx, "o1", StatusReturned)
}

func TestCredit(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	n := New{ID: "C1", Lines: twoLines}
	e, credited, err := Credit(t.Context(), tx, n, "broken")
	want := orderevents.Returned{OrderID: "C1", Lines: twoLines, Refund: 1530, Reason: "broken", Credit: true}
	if err != nil || !credited || !reflect.DeepEqual(e, want) {
		t.Fatalf("credited %v %+v, %v; want %+v", credited, e, err, want)
	}
	if _, credited, err := Credit(t.Context(), tx, n, "broken"); credited || err != nil {
		t.Errorf("again: %v, %v", credited, err)
	}
	if _, placed, err := Place(t.Context(), tx, n); placed || !errors.Is(err, ErrConflict) {
		t.Errorf("an order under a credit note's id: %v, %v", placed, err)
	}
	if _, credited, err := Credit(t.Context(), tx, New{ID: "C2"}, ""); credited || !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty one: %v, %v", credited, err)
	}
}

// TestEveryCallInEveryState calls everything on an order in every state: what has happened is repeated in silence, what
// contradicts it is refused, and neither changes the order.
func TestEveryCallInEveryState(t *testing.T) {
	t.Parallel()
	states := map[string]func(testing.TB, SQL){
		"open":      func(tb testing.TB, tx SQL) { MustPlace(tb, tx, "o1") },
		"requested": func(tb testing.TB, tx SQL) { MustPlace(tb, tx, "o1"); MustRequest(tb, tx, "o1") },
		"completed": func(tb testing.TB, tx SQL) { MustPlace(tb, tx, "o1"); MustComplete(tb, tx, "o1") },
		"cancelled": func(tb testing.TB, tx SQL) { MustPlace(tb, tx, "o1"); MustCancel(tb, tx, "o1") },
		"cancelled as requested": func(tb testing.TB, tx SQL) {
			MustPlace(tb, tx, "o1")
			MustRequest(tb, tx, "o1")
			MustCancel(tb, tx, "o1")
		},
		"returned": func(tb testing.TB, tx SQL) {
			MustPlace(tb, tx, "o1")
			MustComplete(tb, tx, "o1")
			if _, changed, err := Return(tb.Context(), tx, "o1", ""); err != nil || !changed {
				tb.Fatalf("returned %v, %v", changed, err)
			}
		},
		"returned as requested": func(tb testing.TB, tx SQL) {
			MustPlace(tb, tx, "o1")
			MustRequest(tb, tx, "o1")
			MustComplete(tb, tx, "o1")
		},
		"credit": func(tb testing.TB, tx SQL) {
			if _, credited, err := Credit(tb.Context(), tx, New{ID: "o1", Lines: twoLines}, ""); err != nil || !credited {
				tb.Fatalf("credited %v, %v", credited, err)
			}
		},
	}
	calls := map[string]func(context.Context, SQL) (bool, error){
		"request": func(ctx context.Context, tx SQL) (bool, error) {
			_, ok, err := RequestCancel(ctx, tx, "o1", "again")
			return ok, err
		},
		"complete": func(ctx context.Context, tx SQL) (bool, error) {
			_, ok, err := Complete(ctx, tx, "o1")
			return ok, err
		},
		"cancel": func(ctx context.Context, tx SQL) (bool, error) {
			_, ok, err := Cancel(ctx, tx, "o1", "again")
			return ok, err
		},
		"return": func(ctx context.Context, tx SQL) (bool, error) {
			_, ok, err := Return(ctx, tx, "o1", "again")
			return ok, err
		},
	}
	for _, tt := range []struct {
		state, call string
		want        error
	}{
		{"open", "return", ErrNotCompleted},
		{"requested", "request", nil},
		{"requested", "return", ErrNotCompleted},
		{"completed", "request", ErrEnded},
		{"completed", "complete", nil},
		{"completed", "cancel", ErrEnded},
		{"cancelled", "request", ErrEnded},
		{"cancelled", "complete", ErrEnded},
		{"cancelled", "cancel", nil},
		{"cancelled", "return", ErrNotCompleted},
		{"cancelled as requested", "request", nil},
		{"returned", "request", ErrEnded},
		{"returned", "complete", nil},
		{"returned", "cancel", ErrEnded},
		{"returned", "return", nil},
		{"returned as requested", "request", nil},
		{"returned as requested", "complete", nil},
		{"returned as requested", "return", nil},
		{"credit", "request", ErrEnded},
		{"credit", "complete", ErrEnded},
		{"credit", "cancel", ErrEnded},
		{"credit", "return", nil},
	} {
		t.Run(tt.state+"/"+tt.call, func(t *testing.T) {
			t.Parallel()
			tx := dbtest.MustTx(t, Schema)
			states[tt.state](t, tx)
			before, err := Get(t.Context(), tx, "o1")
			if err != nil {
				t.Fatal(err)
			}
			if changed, err := calls[tt.call](t.Context(), tx); changed || !errors.Is(err, tt.want) {
				t.Errorf("changed %v, %v; want %v", changed, err, tt.want)
			}
			if after, err := Get(t.Context(), tx, "o1"); err != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("was %+v, is %+v, %v", before, after, err)
			}
		})
	}
}
