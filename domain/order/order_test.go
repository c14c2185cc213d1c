package order

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/internal/dbtest"
)

var (
	twoLines = []orderevents.Line{{SKU: "85123A", Quantity: 6, UnitPrice: 255}, {SKU: "85123A", Quantity: 1, UnitPrice: 0}}
	postage  = []orderevents.Charge{{Code: "POST", Amount: 300}, {Code: "D", Amount: -100}}
)

// MustPlace places an order of 17.30.
func MustPlace(tb testing.TB, tx SQL, id string) {
	tb.Helper()
	_, placed, err := Place(tb.Context(), tx, New{ID: id, CustomerID: "c1", Lines: twoLines, Charges: postage})
	if err != nil || !placed {
		tb.Fatalf("placed %v, %v", placed, err)
	}
}

// MustStand wants an order to have a status.
func MustStand(tb testing.TB, tx SQL, id string, want Status) {
	tb.Helper()
	o, err := Get(tb.Context(), tx, id)
	if err != nil || o.Status != want {
		tb.Fatalf("order %s is %q, %v; want %q", id, o.Status, err, want)
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	n := New{ID: "o1", CustomerID: "c1", Lines: twoLines, Charges: postage}
	e, placed, err := Place(t.Context(), tx, n)
	want := orderevents.Placed{OrderID: "o1", CustomerID: "c1", Lines: twoLines, Charges: postage, Total: 1730}
	if err != nil || !placed || !reflect.DeepEqual(e, want) {
		t.Fatalf("placed %v %+v, %v; want %+v", placed, e, err, want)
	}
	o, err := Get(t.Context(), tx, "o1")
	wantOrder := Order{ID: "o1", CustomerID: "c1", Status: StatusPlaced, Lines: twoLines, Charges: postage, Total: 1730}
	if err != nil || !reflect.DeepEqual(o, wantOrder) {
		t.Fatalf("got %+v, %v; want %+v", o, err, wantOrder)
	}

	if e, placed, err := Place(t.Context(), tx, n); err != nil || placed || e.OrderID != "" {
		t.Errorf("the same again: %v %+v, %v", placed, e, err)
	}
	MustComplete(t, tx, "o1")
	if _, placed, err := Place(t.Context(), tx, n); err != nil || placed {
		t.Errorf("the same after its end: %v, %v", placed, err)
	}
}

func TestPlaceOtherContent(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustPlace(t, tx, "o1")
	good := New{ID: "o1", CustomerID: "c1", Lines: twoLines, Charges: postage}
	for name, change := range map[string]func(*New){
		"customer": func(n *New) { n.CustomerID = "" },
		"lines":    func(n *New) { n.Lines = twoLines[:1] }, // the total stays the same
		"charges":  func(n *New) { n.Charges = []orderevents.Charge{{Code: "POST", Amount: 200}} },
	} {
		n := good
		change(&n)
		if _, placed, err := Place(t.Context(), tx, n); placed || !errors.Is(err, ErrConflict) {
			t.Errorf("other %s: %v, %v", name, placed, err)
		}
	}
	if _, credited, err := Credit(t.Context(), tx, good, "broken"); credited || !errors.Is(err, ErrConflict) {
		t.Errorf("a credit note under an order's id: %v, %v", credited, err)
	}
	MustStand(t, tx, "o1", StatusPlaced)
}

func TestPlaceWithoutLines(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	n := New{ID: "o1", Charges: []orderevents.Charge{{Code: "POST", Amount: 1500}}}
	e, placed, err := Place(t.Context(), tx, n)
	if err != nil || !placed || e.Total != 1500 || e.Lines == nil {
		t.Fatalf("placed %v %+v, %v: want 15.00 and lines that are [], not null", placed, e, err)
	}
	if _, placed, err := Place(t.Context(), tx, n); placed || err != nil {
		t.Errorf("again: %v, %v", placed, err)
	}
}

func TestPlaceInvalid(t *testing.T) {
	t.Parallel()
	line := func(l orderevents.Line) []orderevents.Line { return []orderevents.Line{l} }
	good := orderevents.Line{SKU: "a", Quantity: 1, UnitPrice: 1}
	for name, tt := range map[string]struct {
		n    New
		want []string
	}{
		"empty":        {New{}, []string{"the id is empty", "neither lines nor charges"}},
		"all at once":  {New{Lines: line(orderevents.Line{UnitPrice: -1})}, []string{"the id", "line 1: the sku", "line 1: the quantity 0", "line 1: the price of -1"}},
		"too much":     {New{ID: "o", Lines: line(orderevents.Line{SKU: "a", Quantity: MaxQuantity + 1})}, []string{"line 1: the quantity 1000001"}},
		"second line":  {New{ID: "o", Lines: append(line(good), orderevents.Line{SKU: "b"})}, []string{"line 2: the quantity"}},
		"empty code":   {New{ID: "o", Charges: []orderevents.Charge{{Amount: 1}}}, []string{"charge 1: the code"}},
		"many lines":   {New{ID: "o", Lines: make([]orderevents.Line, MaxLines+1)}, []string{"2001 lines and 0 charges"}},
		"many charges": {New{ID: "o", Charges: make([]orderevents.Charge, MaxLines+1)}, []string{"0 lines and 2001 charges"}},
		"below zero":   {New{ID: "o", Lines: line(good), Charges: []orderevents.Charge{{Code: "D", Amount: -2}}}, []string{"the total of -1 cents"}},
		"total of a line": {New{ID: "o", Lines: line(orderevents.Line{SKU: "a", Quantity: 2, UnitPrice: MaxTotal/2 + 1})},
			[]string{"the total is above 1000000000000 cents"}},
		"total of lines": {New{ID: "o", Lines: append(line(orderevents.Line{SKU: "a", Quantity: 1, UnitPrice: MaxTotal}), good)},
			[]string{"the total is above"}},
		"total of charges": {New{ID: "o", Charges: []orderevents.Charge{{Code: "D", Amount: MaxTotal}, {Code: "D", Amount: 1}}},
			[]string{"the total is above"}},
		"price":       {New{ID: "o", Lines: line(orderevents.Line{SKU: "a", Quantity: 1, UnitPrice: math.MaxInt64})}, []string{"line 1: the price"}},
		"high charge": {New{ID: "o", Charges: []orderevents.Charge{{Code: "D", Amount: math.MaxInt64}}}, []string{"charge 1: the amount"}},
		"low charge":  {New{ID: "o", Charges: []orderevents.Charge{{Code: "D", Amount: math.MinInt64}}}, []string{"charge 1: the amount"}},
		"names": {New{ID: "o\n", CustomerID: "c\xff", Lines: line(orderevents.Line{SKU: "a\u202e", Quantity: 1}), Charges: []orderevents.Charge{{Code: strings.Repeat("c", MaxName+1)}}},
			[]string{"the id must not have control characters: it has U+000A", "the customer's id is not UTF-8", "line 1: the sku must not have invisible characters: it has U+202E",
				"charge 1: the code has 65 characters: at most 64"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, placed, err := Place(t.Context(), dbtest.MustTx(t, Schema), tt.n)
			if placed || !errors.Is(err, ErrInvalid) {
				t.Fatalf("placed %v, %v", placed, err)
			}
			if got := strings.Split(err.Error(), "\n"); len(got) != len(tt.want) {
				t.Errorf("%d problems, want %d: %v", len(got), len(tt.want), err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func TestPlaceAtTheLimits(t *testing.T) {
	t.Parallel()
	n := New{ID: "o1", Lines: make([]orderevents.Line, MaxLines)}
	for i := range n.Lines {
		n.Lines[i] = orderevents.Line{SKU: "a", Quantity: MaxQuantity, UnitPrice: MaxTotal / MaxLines / MaxQuantity}
	}
	e, placed, err := Place(t.Context(), dbtest.MustTx(t, Schema), n)
	if want := int64(MaxTotal); err != nil || !placed || e.Total != want {
		t.Errorf("placed %v over %d, %v; want %d", placed, e.Total, err, want)
	}
}

func TestUnknownOrder(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	for name, call := range map[string]func(context.Context) error{
		"get":      func(ctx context.Context) error { _, err := Get(ctx, tx, "o1"); return err },
		"request":  func(ctx context.Context) error { _, _, err := RequestCancel(ctx, tx, "o1", ""); return err },
		"complete": func(ctx context.Context) error { _, _, err := Complete(ctx, tx, "o1"); return err },
		"cancel":   func(ctx context.Context) error { _, _, err := Cancel(ctx, tx, "o1", ""); return err },
		"return":   func(ctx context.Context) error { _, _, err := Return(ctx, tx, "o1", ""); return err },
	} {
		if err := call(t.Context()); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustPlace(t, tx, "o2")
	MustPlace(t, tx, "o1")
	MustComplete(t, tx, "o1")
	if _, _, err := Credit(t.Context(), tx, New{ID: "C1", Charges: []orderevents.Charge{{Code: "D", Amount: 2750}}}, "discount"); err != nil {
		t.Fatal(err)
	}
	var got []Fact
	err := Each(t.Context(), tx, func(f Fact) error { got = append(got, f); return nil })
	want := []Fact{{"C1", StatusReturned, 2750, true}, {"o1", StatusCompleted, 1730, false}, {"o2", StatusPlaced, 1730, false}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	stop := errors.New("stop")
	if err := Each(t.Context(), tx, func(Fact) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visit's error is lost: %v", err)
	}
}

func TestBadName(t *testing.T) {
	t.Parallel()
	for name, wants := range map[string]string{
		"": "", "TEA": "", "Köln 東京 🙂 \uFFFD": "", strings.Repeat("ä", 11): "", strings.Repeat("ä", 12): "12 characters: at most 11",
		"a\x00": "U+0000", "a\x7f": "U+007F", "a\u0085": "control", "a\u200f": "U+200F", "a\u2029": "U+2029", "\ufeffa": "U+FEFF", "\xc0\xaf": "not UTF-8",
		"\U0010ffff": "not a character",
	} {
		if got := BadName(name, 11); got == "" && wants != "" || !strings.Contains(got, wants) || got != "" && wants == "" {
			t.Errorf("%q: %q, want %q", name, got, wants)
		}
	}
}
