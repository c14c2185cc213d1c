package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
)

// MustOpen opens a world that the test closes.
func MustOpen(tb testing.TB, path string, o Options) *World {
	tb.Helper()
	w, err := Open(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.Close(); err != nil {
			tb.Error(err)
		}
	})
	return w
}

// MustCharge charges 100 cents for the order "order-"+key and returns the reference.
func MustCharge(tb testing.TB, w *World, key string) string {
	tb.Helper()
	receipt, err := chargeOne(w, key)
	if err != nil {
		tb.Fatal(err)
	}
	return receipt.Reference
}

func chargeOne(w *World, key string) (payment.Receipt, error) {
	return w.Charge(context.Background(), payment.Charge{Key: key, OrderID: "order-" + key, Amount: 100})
}

func always(f Fate) func(string) (Fate, bool) { return func(string) (Fate, bool) { return f, true } }

func TestWorldKeepsLedger(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := MustOpen(t, "", Options{})
	references := map[string]bool{}
	for range 2 {
		for _, o := range []string{"1", "2"} {
			paid, err := w.Charge(ctx, payment.Charge{Key: "c" + o, OrderID: o, Amount: 250})
			back, err2 := w.Refund(ctx, payment.Refund{Key: "r" + o, OrderID: o, Amount: 50})
			label, err3 := w.Dispatch(ctx, shipping.Parcel{Key: "d" + o, OrderID: o})
			if err := errors.Join(err, err2, err3); err != nil {
				t.Fatal(err)
			}
			references[paid.Reference], references[back.Reference], references[label.Tracking] = true, true, true
		}
	}
	if len(references) != 6 || references[""] {
		t.Errorf("references are %v, want one for each of 6 keys", references)
	}
	account := Account{Charged: 250, Refunded: 50, Charges: 1, Refunds: 1, Dispatches: 1}
	want := Ledger{Orders: map[string]Account{"1": account, "2": account},
		Calls: map[string]int{"c1": 2, "r1": 2, "d1": 2, "c2": 2, "r2": 2, "d2": 2}}
	if got := w.Ledger(); !reflect.DeepEqual(got, want) {
		t.Errorf("ledger is %+v, want %+v", got, want)
	}
}

func TestRefusalIsFinal(t *testing.T) {
	t.Parallel()
	w := MustOpen(t, "", Options{Rules: func(id string) (Fate, bool) {
		return Fate{Declined: "card stolen", Undeliverable: "moved away"}, id == "bad"
	}})
	for range 2 {
		var declined *payment.DeclinedError
		if r, err := w.Charge(t.Context(), payment.Charge{Key: "c", OrderID: "bad", Amount: 1}); !errors.As(err, &declined) || declined.Reason != "card stolen" || r.Reference != "" {
			t.Errorf("charge gives %v, %v, want declined", r, err)
		}
		var undeliverable *shipping.UndeliverableError
		if l, err := w.Dispatch(t.Context(), shipping.Parcel{Key: "d", OrderID: "bad"}); !errors.As(err, &undeliverable) || undeliverable.Reason != "moved away" || l.Tracking != "" {
			t.Errorf("dispatch gives %v, %v, want undeliverable", l, err)
		}
		if _, err := w.Refund(t.Context(), payment.Refund{Key: "r", OrderID: "bad", Amount: 5}); err != nil {
			t.Errorf("refund: %v", err)
		}
	}
	MustCharge(t, w, "other")
	want := Account{Refunded: 5, Refunds: 1, DeclinedCharges: 1, Undeliverable: 1}
	if got := w.Ledger().Orders["bad"]; got != want {
		t.Errorf("account is %+v, want %+v", got, want)
	}
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := MustOpen(t, "", Options{Silence: time.Minute, Rules: always(Fate{Troubles: []Trouble{Transient, Timeout, LostAnswer}})})
		steps := []struct {
			err     error
			takes   time.Duration
			charges int
		}{{ErrUnavailable, 0, 0}, {ErrNoAnswer, time.Minute, 0}, {ErrNoAnswer, 0, 1}, {nil, 0, 1}, {nil, 0, 1}}
		for i, step := range steps {
			begin := time.Now()
			if _, err := chargeOne(w, "k"); !errors.Is(err, step.err) {
				t.Errorf("call %d fails with %v, want %v", i+1, err, step.err)
			}
			if took := time.Since(begin); took != step.takes {
				t.Errorf("call %d takes %v, want %v", i+1, took, step.takes)
			}
			l := w.Ledger()
			if l.Orders["order-k"].Charges != step.charges || l.Calls["k"] != i+1 {
				t.Errorf("after call %d the ledger is %+v, want %d charges", i+1, l, step.charges)
			}
		}
	})
}

func TestContextEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := MustOpen(t, "", Options{Latency: time.Hour})
		silent := MustOpen(t, "", Options{TimeoutRate: 1})
		for name, w := range map[string]*World{"slow": slow, "silent": silent} {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := w.Dispatch(ctx, shipping.Parcel{Key: "k", OrderID: "1"})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Millisecond {
				t.Errorf("%s: %v after %v, want the deadline after 1ms", name, err, time.Since(begin))
			}
			if l := w.Ledger(); l.Orders["1"].Dispatches != 0 || l.Calls["k"] != 1 {
				t.Errorf("%s: ledger is %+v, want a call that did nothing", name, l)
			}
		}
		begin := time.Now()
		if _, err := silent.Dispatch(t.Context(), shipping.Parcel{Key: "k2", OrderID: "1"}); !errors.Is(err, ErrNoAnswer) || time.Since(begin) != defaultSilence {
			t.Errorf("without a deadline: %v after %v, want ErrNoAnswer after %v", err, time.Since(begin), defaultSilence)
		}
	})
}

// TestCloseDuringCall: a call whose wait outlasts the world does nothing any more.
func TestCloseDuringCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := MustOpen(t, "", Options{Latency: time.Second})
		failed := make(chan error)
		go func() {
			_, err := chargeOne(w, "k")
			failed <- err
		}()
		synctest.Wait()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("the waiting call fails with %v, want ErrClosed", err)
		}
		if _, err := chargeOne(w, "later"); !errors.Is(err, ErrClosed) {
			t.Errorf("a later call fails with %v, want ErrClosed", err)
		}
		if n := w.Ledger().Orders["order-k"].Charges; n != 0 {
			t.Errorf("%d charges, want none", n)
		}
	})
}

func TestKeyReused(t *testing.T) {
	t.Parallel()
	w := MustOpen(t, "", Options{})
	MustCharge(t, w, "k")
	before := w.Ledger()
	for name, call := range map[string]func() error{
		"other amount": func() error {
			_, err := w.Charge(t.Context(), payment.Charge{Key: "k", OrderID: "order-k", Amount: 101})
			return err
		},
		"other order": func() error {
			_, err := w.Charge(t.Context(), payment.Charge{Key: "k", OrderID: "other", Amount: 100})
			return err
		},
		"other kind": func() error {
			_, err := w.Refund(t.Context(), payment.Refund{Key: "k", OrderID: "order-k", Amount: 100})
			return err
		},
	} {
		if err := call(); !errors.Is(err, ErrKeyReused) {
			t.Errorf("%s: %v, want ErrKeyReused", name, err)
		}
	}
	if after := w.Ledger(); !reflect.DeepEqual(before, after) {
		t.Errorf("ledger is %+v, was %+v", after, before)
	}
}

func TestBadRequest(t *testing.T) {
	t.Parallel()
	w := MustOpen(t, "", Options{})
	for _, c := range []payment.Charge{{OrderID: "1"}, {Key: "k"}, {Key: "k", OrderID: "1", Amount: -1}, {Key: "\xFF", OrderID: "1"}, {Key: "k", OrderID: "\xFF"}} {
		if _, err := w.Charge(t.Context(), c); !errors.Is(err, ErrRequest) {
			t.Errorf("%+v: %v, want ErrRequest", c, err)
		}
	}
	if l := w.Ledger(); len(l.Orders)+len(l.Calls) != 0 {
		t.Errorf("ledger is %+v, want nothing in it", l)
	}
}

func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	w := MustOpen(t, t.TempDir()+"/world", Options{LostAnswerRate: 0.3, TransientRate: 0.3})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 50 {
				_, err := chargeOne(w, fmt.Sprint((i+n)%50))
				if err != nil && !errors.Is(err, ErrNoAnswer) && !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	l := w.Ledger()
	for i := range 50 {
		key := fmt.Sprint(i)
		if a := l.Orders["order-"+key]; a.Charged != 100 || a.Charges != 1 || l.Calls[key] != 8 {
			t.Errorf("key %s: %+v after %d calls, want one charge after 8", key, a, l.Calls[key])
		}
	}
}

func TestOptionsValidate(t *testing.T) {
	t.Parallel()
	_, err := Open("", Options{DeclineRate: -0.1, TransientRate: math.NaN(), Latency: -1, Silence: -1})
	for _, name := range []string{"DeclineRate is -0.1", "TransientRate is NaN", "Latency", "Silence"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error is %v, want it to name %s", err, name)
		}
	}
	if _, err := Open("", Options{TransientRate: 0.5, TimeoutRate: 0.3, LostAnswerRate: 0.3}); err == nil {
		t.Error("troubles of more than all calls are accepted")
	}
}
