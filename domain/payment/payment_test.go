package payment

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/internal/dbtest"
)

var (
	charged      = paymentevents.Charged{OrderID: "o1", Amount: 1730, Reference: "ch1"}
	declined     = paymentevents.Declined{OrderID: "o1", Reason: "no funds"}
	refunded     = paymentevents.Refunded{OrderID: "o1", Amount: 1730, Reference: "re1", Reason: paymentevents.ReasonReturned}
	otherAmount  = paymentevents.Charged{OrderID: "o1", Amount: 1729, Reference: "ch1"}
	otherPayback = paymentevents.Refunded{OrderID: "o1", Amount: 1729, Reference: "re1", Reason: paymentevents.ReasonReturned}
)

// calls are everything that can be done about the money of order o1.
var calls = map[string]func(context.Context, SQL) (bool, error){
	"begin": func(ctx context.Context, tx SQL) (bool, error) {
		step, err := BeginCharge(ctx, tx, "o1")
		return step == AskGateway, err
	},
	"void":         func(ctx context.Context, tx SQL) (bool, error) { return Void(ctx, tx, "o1") },
	"charge":       func(ctx context.Context, tx SQL) (bool, error) { return RecordCharge(ctx, tx, charged) },
	"charge other": func(ctx context.Context, tx SQL) (bool, error) { return RecordCharge(ctx, tx, otherAmount) },
	"decline":      func(ctx context.Context, tx SQL) (bool, error) { return RecordDecline(ctx, tx, declined) },
	"begin refund": func(ctx context.Context, tx SQL) (bool, error) {
		amount, due, err := BeginRefund(ctx, tx, "o1")
		return due && amount == 1730, err
	},
	"refund":       func(ctx context.Context, tx SQL) (bool, error) { return RecordRefund(ctx, tx, refunded) },
	"refund other": func(ctx context.Context, tx SQL) (bool, error) { return RecordRefund(ctx, tx, otherPayback) },
	"credit":       func(ctx context.Context, tx SQL) (bool, error) { return RecordCredit(ctx, tx, refunded) },
	"credit other": func(ctx context.Context, tx SQL) (bool, error) { return RecordCredit(ctx, tx, otherPayback) },
}

// MustRead reads the money of order o1, the only one.
func MustRead(tb testing.TB, tx SQL) Fact {
	tb.Helper()
	var facts []Fact
	if err := Each(tb.Context(), tx, func(f Fact) error { facts = append(facts, f); return nil }); err != nil || len(facts) > 1 {
		tb.Fatalf("read %v, %v", facts, err)
	}
	if len(facts) == 0 {
		return Fact{}
	}
	return facts[0]
}

// TestCalls makes calls of which all but the last succeed. The last is made twice: the first time it does something or
// not, or fails; the second time it does nothing, or fails again.
func TestCalls(t *testing.T) {
	t.Parallel()
	var (
		none      = Fact{}
		void      = Fact{OrderID: "o1", Status: StatusVoid}
		charging  = Fact{OrderID: "o1", Status: StatusCharging}
		paid      = Fact{OrderID: "o1", Status: StatusCharged, Charged: 1730}
		unpaid    = Fact{OrderID: "o1", Status: StatusDeclined}
		paidBack  = Fact{OrderID: "o1", Status: StatusRefunded, Charged: 1730, Refunded: 1730}
		givenBack = Fact{OrderID: "o1", Status: StatusRefunded, Refunded: 1730, Credit: true}
	)
	for _, tt := range []struct {
		before []string
		call   string
		does   bool
		err    error
		want   Fact
	}{
		{[]string{"begin"}, "charge", true, nil, paid},
		{[]string{"begin"}, "decline", true, nil, unpaid},
		{nil, "charge", true, nil, paid}, // what the gateway did counts, however it came about
		{nil, "decline", true, nil, unpaid},
		{[]string{"charge"}, "charge other", false, ErrConflict, paid},
		{[]string{"charge"}, "decline", false, ErrConflict, paid},
		{[]string{"decline"}, "charge", false, ErrConflict, unpaid},
		{[]string{"charge"}, "begin", false, nil, paid},
		{[]string{"decline"}, "begin", false, nil, unpaid},

		{nil, "void", true, nil, void}, // cancelled before the charge
		{[]string{"void"}, "begin", false, nil, void},
		{[]string{"void", "begin"}, "decline", true, nil, unpaid},
		{[]string{"begin"}, "void", false, nil, charging}, // cancelled during the charge
		{[]string{"begin", "void"}, "charge", true, nil, paid},
		{[]string{"begin", "void"}, "decline", true, nil, unpaid},
		{[]string{"void"}, "charge", true, nil, paid},
		{[]string{"charge"}, "void", false, nil, paid}, // cancelled after the charge
		{[]string{"decline"}, "void", false, nil, unpaid},
		{[]string{"charge", "refund"}, "void", false, nil, paidBack},

		{[]string{"charge"}, "refund", true, nil, paidBack},
		{[]string{"charge", "refund"}, "begin refund", false, nil, paidBack},
		{[]string{"charge", "refund"}, "charge", false, nil, paidBack},
		{[]string{"charge", "refund"}, "decline", false, ErrConflict, paidBack},
		{[]string{"charge", "refund"}, "begin", false, nil, paidBack},
		{[]string{"charge"}, "refund other", false, ErrConflict, paid},
		{[]string{"charge", "refund"}, "refund other", false, ErrConflict, paidBack},
		{nil, "begin refund", false, ErrNotCharged, none},
		{nil, "refund", false, ErrNotCharged, none},
		{[]string{"begin"}, "refund", false, ErrNotCharged, charging},
		{[]string{"decline"}, "begin refund", false, ErrNotCharged, unpaid},
		{[]string{"decline"}, "refund", false, ErrNotCharged, unpaid},
		{[]string{"void"}, "refund", false, ErrNotCharged, void},

		{nil, "credit", true, nil, givenBack},
		{[]string{"credit"}, "credit other", false, ErrConflict, givenBack},
		{[]string{"charge"}, "credit", false, ErrConflict, paid},
		{[]string{"charge", "refund"}, "credit", false, ErrConflict, paidBack},
		{[]string{"credit"}, "refund", false, ErrNotCharged, givenBack},
		{[]string{"credit"}, "begin refund", false, ErrNotCharged, givenBack},
		{[]string{"credit"}, "charge", false, ErrConflict, givenBack},
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
			if got := MustRead(t, tx); got != tt.want {
				t.Errorf("%v, then %s: %+v, want %+v", tt.before, tt.call, got, tt.want)
			}
		})
	}
}

// Begun is asked again until there is an answer: a crash may have come before the gateway heard of it.
func TestBeginCharge(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	want := func(want Step) {
		t.Helper()
		if step, err := BeginCharge(t.Context(), tx, "o1"); step != want || err != nil {
			t.Errorf("step %d, %v; want %d", step, err, want)
		}
	}
	want(AskGateway)
	want(AskGateway)
	if voided, err := Void(t.Context(), tx, "o1"); voided || err != nil {
		t.Errorf("voided %v, %v: the gateway may have been asked", voided, err)
	}
	want(AskGateway)
	if _, err := RecordCharge(t.Context(), tx, charged); err != nil {
		t.Fatal(err)
	}
	want(AlreadyDone)
}

func TestBeginChargeVoid(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	if voided, err := Void(t.Context(), tx, "o1"); !voided || err != nil {
		t.Fatalf("voided %v, %v", voided, err)
	}
	for range 2 {
		if step, err := BeginCharge(t.Context(), tx, "o1"); step != AnswerCancelled || err != nil {
			t.Errorf("step %d, %v; want AnswerCancelled", step, err)
		}
	}
}

func TestBeginRefund(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	if _, err := RecordCharge(t.Context(), tx, charged); err != nil {
		t.Fatal(err)
	}
	for range 2 { // reading only, it may be repeated
		if amount, due, err := BeginRefund(t.Context(), tx, "o1"); amount != 1730 || !due || err != nil {
			t.Errorf("%d due %v, %v", amount, due, err)
		}
	}
}

// scripted is a gateway that notes what it is asked.
type scripted struct{ asked []any }

func (s *scripted) Charge(_ context.Context, c Charge) (Receipt, error) {
	s.asked = append(s.asked, c)
	return Receipt{"ch1"}, nil
}

func (s *scripted) Refund(_ context.Context, r Refund) (Receipt, error) {
	s.asked = append(s.asked, r)
	return Receipt{}, &DeclinedError{Reason: "account closed"}
}

func TestSend(t *testing.T) {
	t.Parallel()
	g := &scripted{}
	if r, err := (Charge{Key: "k1", OrderID: "o1"}).Send(t.Context(), g); r.Reference != "free" || err != nil {
		t.Errorf("free charge: %v, %v", r, err)
	}
	if r, err := (Refund{Key: "k2", OrderID: "o1"}).Send(t.Context(), g); r.Reference != "free" || err != nil {
		t.Errorf("free refund: %v, %v", r, err)
	}
	if len(g.asked) > 0 {
		t.Errorf("the gateway was asked for nothing: %v", g.asked)
	}
	if r, err := (Charge{"k3", "o1", 1}).Send(t.Context(), g); r.Reference != "ch1" || err != nil {
		t.Errorf("charge: %v, %v", r, err)
	}
	var refusal *DeclinedError
	if _, err := (Refund{"k4", "o1", 2}).Send(t.Context(), g); !errors.As(err, &refusal) || refusal.Reason != "account closed" {
		t.Errorf("refund: %v", err)
	}
	if want := []any{Charge{"k3", "o1", 1}, Refund{"k4", "o1", 2}}; !reflect.DeepEqual(g.asked, want) {
		t.Errorf("asked %v, want %v", g.asked, want)
	}
}

func TestEachStops(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	if _, err := RecordCharge(t.Context(), tx, charged); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := Each(t.Context(), tx, func(Fact) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visit's error is lost: %v", err)
	}
}

// The table itself keeps money from being refunded in part, or without having been charged.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	for _, values := range []string{
		"('o1', 'charged', -1, 0, 0)", "('o1', 'declined', 5, 0, 0)", "('o1', 'charged', 5, 5, 0)", "('o1', 'refunded', 5, 4, 0)",
		"('o1', 'refunded', 5, 5, 1)", "('o1', 'charged', 0, 0, 1)", "('o1', 'lost', 0, 0, 0)", "('', 'void', 0, 0, 0)",
	} {
		query := "INSERT INTO payment_payments (order_id, status, charged, refunded, credit) VALUES " + values
		if _, err := tx.ExecContext(t.Context(), query); err == nil {
			t.Errorf("%s: no error", query)
		}
	}
}
