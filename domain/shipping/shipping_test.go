package shipping

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/troupebus/troupe/domain/shipping/shippingevents"
	"github.com/troupebus/troupe/internal/dbtest"
)

// calls are everything that can be done about the parcel of order o1.
var calls = map[string]func(context.Context, SQL) (bool, error){
	"begin": func(ctx context.Context, tx SQL) (bool, error) {
		step, err := Begin(ctx, tx, "o1")
		return step == AskCarrier, err
	},
	"stop": func(ctx context.Context, tx SQL) (bool, error) { return Stop(ctx, tx, "o1") },
	"dispatched": func(ctx context.Context, tx SQL) (bool, error) {
		return RecordDispatched(ctx, tx, shippingevents.Dispatched{OrderID: "o1", Tracking: "t1"})
	},
	"undeliverable": func(ctx context.Context, tx SQL) (bool, error) {
		return RecordUndeliverable(ctx, tx, shippingevents.Undeliverable{OrderID: "o1", Reason: "no such address"})
	},
}

// TestCalls makes calls of which all but the last succeed. The last is made twice: the second time it does nothing, or
// fails again.
func TestCalls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		before []string
		call   string
		does   bool
		err    error
		want   Status
	}{
		{[]string{"begin"}, "dispatched", true, nil, StatusDispatched},
		{[]string{"begin"}, "undeliverable", true, nil, StatusUndeliverable},
		{nil, "dispatched", true, nil, StatusDispatched}, // what the carrier did counts, however it came about
		{nil, "undeliverable", true, nil, StatusUndeliverable},
		{[]string{"dispatched"}, "undeliverable", false, ErrConflict, StatusDispatched},
		{[]string{"undeliverable"}, "dispatched", false, ErrConflict, StatusUndeliverable},
		{[]string{"dispatched"}, "begin", false, nil, StatusDispatched},
		{[]string{"undeliverable"}, "begin", false, nil, StatusUndeliverable},

		{nil, "stop", true, nil, StatusStopped}, // cancelled before the dispatch
		{[]string{"stop"}, "begin", false, nil, StatusStopped},
		{[]string{"stop", "begin"}, "undeliverable", true, nil, StatusUndeliverable},
		{[]string{"begin"}, "stop", false, nil, StatusDispatching}, // cancelled during the dispatch
		{[]string{"begin", "stop"}, "dispatched", true, nil, StatusDispatched},
		{[]string{"begin", "stop"}, "undeliverable", true, nil, StatusUndeliverable},
		{[]string{"stop"}, "dispatched", true, nil, StatusDispatched},
		{[]string{"dispatched"}, "stop", false, nil, StatusDispatched}, // cancelled after the dispatch
		{[]string{"undeliverable"}, "stop", false, nil, StatusUndeliverable},
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			tx := dbtest.MustTx(t, Schema)
			for _, name := range tt.before {
				if _, err := calls[name](t.Context(), tx); err != nil {
					t.Fatalf("%v: %s: %v", tt.before, name, err)
				}
			}
			for n, does := range []bool{tt.does, false} {
				if did, err := calls[tt.call](t.Context(), tx); did != does || !errors.Is(err, tt.err) {
					t.Errorf("%v, then %s, call %d: %v, %v; want %v, %v", tt.before, tt.call, n+1, did, err, does, tt.err)
				}
			}
			var got []Fact
			err := Each(t.Context(), tx, func(f Fact) error { got = append(got, f); return nil })
			if want := []Fact{{"o1", tt.want}}; err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%v, then %s: %v, %v; want %v", tt.before, tt.call, got, err, want)
			}
		})
	}
}

// Begun is asked again until there is an answer: a crash may have come before the carrier heard of it.
func TestBegin(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	want := func(want Step) {
		t.Helper()
		if step, err := Begin(t.Context(), tx, "o1"); step != want || err != nil {
			t.Errorf("step %d, %v; want %d", step, err, want)
		}
	}
	want(AskCarrier)
	if stopped, err := Stop(t.Context(), tx, "o1"); stopped || err != nil {
		t.Errorf("stopped %v, %v: the carrier may have been asked", stopped, err)
	}
	want(AskCarrier)
	if _, err := RecordDispatched(t.Context(), tx, shippingevents.Dispatched{OrderID: "o1", Tracking: "t1"}); err != nil {
		t.Fatal(err)
	}
	want(AlreadyDone)
}

func TestBeginStopped(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	if stopped, err := Stop(t.Context(), tx, "o1"); !stopped || err != nil {
		t.Fatalf("stopped %v, %v", stopped, err)
	}
	for range 2 {
		if step, err := Begin(t.Context(), tx, "o1"); step != AnswerCancelled || err != nil {
			t.Errorf("step %d, %v; want AnswerCancelled", step, err)
		}
	}
}

func TestUndeliverableError(t *testing.T) {
	t.Parallel()
	if got := (&UndeliverableError{Reason: "no such address"}).Error(); got != "shipping: undeliverable: no such address" {
		t.Errorf("got %q", got)
	}
}

func TestEachStops(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	if _, err := Stop(t.Context(), tx, "o1"); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := Each(t.Context(), tx, func(Fact) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visit's error is lost: %v", err)
	}
}
