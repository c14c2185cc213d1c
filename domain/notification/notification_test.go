package notification

import (
	"errors"
	"reflect"
	"testing"

	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/internal/dbtest"
)

func TestTell(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	done := OfCompleted(orderevents.Completed{OrderID: "o1", CustomerID: "c1", Total: 1705})
	for n, want := range []bool{true, false} {
		if notified, err := Notify(t.Context(), tx, done); notified != want || err != nil {
			t.Fatalf("call %d: %v, %v", n+1, notified, err)
		}
	}
	gone := OfCancelled(orderevents.Cancelled{OrderID: "o1", CustomerID: "c1", Reason: "declined"})
	if notified, err := Notify(t.Context(), tx, gone); notified || !errors.Is(err, ErrConflict) {
		t.Errorf("another end: %v, %v", notified, err)
	}
	want := Notice{"o1", "c1", KindCompleted, "Your order o1 over 17.05 is on its way."}
	if got, err := Get(t.Context(), tx, "o1"); got != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestTellGuest(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	want := Notice{"o2", "", KindCancelled, "Your order o2 was cancelled: declined. You owe nothing."}
	if notified, err := Notify(t.Context(), tx, OfCancelled(orderevents.Cancelled{OrderID: "o2", Reason: "declined"})); !notified || err != nil {
		t.Fatalf("notified %v, %v", notified, err)
	}
	if got, err := Get(t.Context(), tx, "o2"); got != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := Get(t.Context(), tx, "o3"); !errors.Is(err, ErrNotFound) {
		t.Errorf("without a notice: %v", err)
	}
}

func TestTellUnknownKind(t *testing.T) {
	t.Parallel()
	if notified, err := Notify(t.Context(), dbtest.MustTx(t, Schema), Notice{OrderID: "o1", Kind: "lost"}); notified || err == nil {
		t.Errorf("notified %v, %v", notified, err)
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	for _, n := range []Notice{{"o2", "c1", KindCompleted, "x"}, {"o1", "c1", KindCancelled, "y"}} {
		if notified, err := Notify(t.Context(), tx, n); !notified || err != nil {
			t.Fatalf("notified %v, %v", notified, err)
		}
	}
	var got []Fact
	err := Each(t.Context(), tx, func(f Fact) error { got = append(got, f); return nil })
	if want := []Fact{{"o1", KindCancelled}, {"o2", KindCompleted}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	stop := errors.New("stop")
	if err := Each(t.Context(), tx, func(Fact) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visit's error is lost: %v", err)
	}
}
