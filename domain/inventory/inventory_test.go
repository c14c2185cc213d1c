package inventory

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/internal/dbtest"
)

// The article a lies on two lines, as in real orders.
var threeLines = []orderevents.Line{{SKU: "a", Quantity: 2}, {SKU: "b", Quantity: 5}, {SKU: "a", Quantity: 1}}

// MustReceive takes in ten of each article.
func MustReceive(tb testing.TB, tx SQL, skus ...string) {
	tb.Helper()
	for _, sku := range skus {
		if fresh, err := Receive(tb.Context(), tx, sku, 10); err != nil || !fresh {
			tb.Fatalf("received %v, %v", fresh, err)
		}
	}
}

// MustReserve sets aside lines for an order.
func MustReserve(tb testing.TB, tx SQL, orderID string, lines []orderevents.Line) {
	tb.Helper()
	missing, fresh, err := Reserve(tb.Context(), tx, orderID, lines)
	if err != nil || !fresh || len(missing) > 0 {
		tb.Fatalf("reserved %v, missing %v, %v", fresh, missing, err)
	}
}

// MustStock wants the counters of an article, and books that balance.
func MustStock(tb testing.TB, tx SQL, want Stock) {
	tb.Helper()
	got, err := Get(tb.Context(), tx, want.SKU)
	if err != nil || got != want {
		tb.Errorf("stock is %+v, %v; want %+v", got, err, want)
	}
	if faults, err := Check(tb.Context(), tx); err != nil || len(faults) > 0 {
		tb.Errorf("faults %v, %v", faults, err)
	}
}

func TestReceive(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustReceive(t, tx, "a")
	if fresh, err := Receive(t.Context(), tx, "a", 99); fresh || err != nil {
		t.Errorf("again: %v, %v", fresh, err)
	}
	MustStock(t, tx, Stock{SKU: "a", Initial: 10, OnHand: 10})
	if fresh, err := Receive(t.Context(), tx, "b", 0); !fresh || err != nil {
		t.Errorf("none of it: %v, %v", fresh, err)
	}
	for sku, quantity := range map[string]int64{"": 1, "c": -1} {
		if fresh, err := Receive(t.Context(), tx, sku, quantity); fresh || !errors.Is(err, ErrInvalid) {
			t.Errorf("%d of %q: %v, %v", quantity, sku, fresh, err)
		}
	}
	if _, err := Get(t.Context(), tx, "c"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown article: %v", err)
	}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustReceive(t, tx, "a", "b", "c")
	for range 2 { // the second time nothing happens
		missing, _, err := Reserve(t.Context(), tx, "o1", threeLines)
		if err != nil || len(missing) > 0 {
			t.Fatalf("missing %v, %v", missing, err)
		}
		MustStock(t, tx, Stock{SKU: "a", Initial: 10, OnHand: 7, Reserved: 3})
		MustStock(t, tx, Stock{SKU: "b", Initial: 10, OnHand: 5, Reserved: 5})
		MustStock(t, tx, Stock{SKU: "c", Initial: 10, OnHand: 10})
	}
	if _, fresh, err := Reserve(t.Context(), tx, "o1", threeLines); fresh || err != nil {
		t.Errorf("again: %v, %v", fresh, err)
	}
	MustReserve(t, tx, "o2", []orderevents.Line{{SKU: "a", Quantity: 7}})
	MustStock(t, tx, Stock{SKU: "a", Initial: 10, Reserved: 10})
	MustReserve(t, tx, "postage only", nil)
}

func TestReserveShort(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustReceive(t, tx, "a", "b")
	// Each line of b is in stock, both together are not.
	lines := []orderevents.Line{{SKU: "z", Quantity: 1}, {SKU: "b", Quantity: 6}, {SKU: "a", Quantity: 1}, {SKU: "b", Quantity: 5}}
	missing, fresh, err := Reserve(t.Context(), tx, "o1", lines)
	if want := []string{"b", "z"}; err != nil || !fresh || !slices.Equal(missing, want) {
		t.Fatalf("reserved %v, missing %v, %v; want %v", fresh, missing, err, want)
	}
	MustStock(t, tx, Stock{SKU: "a", Initial: 10, OnHand: 10})
	MustStock(t, tx, Stock{SKU: "b", Initial: 10, OnHand: 10})
	MustReceive(t, tx, "z")
	if _, fresh, err := Reserve(t.Context(), tx, "o1", lines); fresh || err != nil {
		t.Errorf("again: %v, %v", fresh, err)
	}
	MustStock(t, tx, Stock{SKU: "z", Initial: 10, OnHand: 10})
}

// TestMoves does to the goods of an order, in order, what is listed, each of it twice.
func TestMoves(t *testing.T) {
	t.Parallel()
	moves := map[string]func(context.Context, SQL) (bool, error){
		"reserve": func(ctx context.Context, tx SQL) (bool, error) {
			_, fresh, err := Reserve(ctx, tx, "o1", threeLines)
			return fresh, err
		},
		"short": func(ctx context.Context, tx SQL) (bool, error) {
			_, fresh, err := Reserve(ctx, tx, "o1", []orderevents.Line{{SKU: "a", Quantity: 11}})
			return fresh, err
		},
		"release": func(ctx context.Context, tx SQL) (bool, error) { return Release(ctx, tx, "o1") },
		"ship":    func(ctx context.Context, tx SQL) (bool, error) { return Ship(ctx, tx, "o1") },
		"restock": func(ctx context.Context, tx SQL) (bool, error) {
			return Restock(ctx, tx, orderevents.Returned{OrderID: "o1", Lines: threeLines})
		},
	}
	for _, tt := range []struct {
		name  string
		moves []string
		idle  string // a move that changes nothing
		err   error  // of the last move, which is then refused
		want  Stock
	}{
		{"release", []string{"reserve", "release"}, "", nil, Stock{OnHand: 10}},
		{"ship", []string{"reserve", "ship"}, "", nil, Stock{OnHand: 7, Shipped: 3}},
		{"restock", []string{"reserve", "ship", "restock"}, "ship", nil, Stock{OnHand: 10, Shipped: 3, Returned: 3}},
		{"restock reserved", []string{"reserve", "restock"}, "", ErrConflict, Stock{OnHand: 7, Reserved: 3}},
		{"release shipped", []string{"reserve", "ship", "release"}, "", ErrConflict, Stock{OnHand: 7, Shipped: 3}},
		{"release returned", []string{"reserve", "ship", "restock", "release"}, "", ErrConflict, Stock{OnHand: 10, Shipped: 3, Returned: 3}},
		{"ship released", []string{"reserve", "release", "ship"}, "reserve", ErrConflict, Stock{OnHand: 10}},
		{"restock released", []string{"reserve", "release", "restock"}, "", ErrConflict, Stock{OnHand: 10}},
		{"release short", []string{"short", "release"}, "reserve", ErrConflict, Stock{OnHand: 10}},
		{"ship short", []string{"short", "ship"}, "", ErrConflict, Stock{OnHand: 10}},
		{"restock short", []string{"short", "restock"}, "", ErrConflict, Stock{OnHand: 10}},
		{"release unknown", []string{"release"}, "", ErrNotReserved, Stock{OnHand: 10}},
		{"ship unknown", []string{"ship"}, "", ErrNotReserved, Stock{OnHand: 10}},
		{"restock unknown", []string{"restock"}, "", ErrNotReserved, Stock{OnHand: 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tx := dbtest.MustTx(t, Schema)
			MustReceive(t, tx, "a", "b")
			for i, move := range tt.moves {
				if i == len(tt.moves)-1 && tt.err != nil {
					if fresh, err := moves[move](t.Context(), tx); fresh || !errors.Is(err, tt.err) {
						t.Fatalf("%s: %v, %v; want %v", move, fresh, err, tt.err)
					}
					continue
				}
				for n, want := range []bool{true, false} {
					if fresh, err := moves[move](t.Context(), tx); fresh != want || err != nil {
						t.Fatalf("%s, call %d: %v, %v", move, n+1, fresh, err)
					}
				}
			}
			if tt.idle != "" {
				if fresh, err := moves[tt.idle](t.Context(), tx); fresh || err != nil {
					t.Errorf("%s: %v, %v", tt.idle, fresh, err)
				}
			}
			tt.want.SKU, tt.want.Initial = "a", 10
			MustStock(t, tx, tt.want)
		})
	}
}

func TestRestockCredit(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustReceive(t, tx, "a")
	e := orderevents.Returned{OrderID: "C1", Lines: threeLines, Credit: true}
	for n, want := range []bool{true, false} {
		if fresh, err := Restock(t.Context(), tx, e); fresh != want || err != nil {
			t.Fatalf("call %d: %v, %v", n+1, fresh, err)
		}
	}
	MustStock(t, tx, Stock{SKU: "a", Initial: 10, OnHand: 13, Returned: 3})
	MustStock(t, tx, Stock{SKU: "b", OnHand: 5, Returned: 5})

	MustReceive(t, tx, "b") // its first delivery is still one
	MustStock(t, tx, Stock{SKU: "b", Initial: 10, OnHand: 15, Returned: 5})
	if fresh, err := Restock(t.Context(), tx, orderevents.Returned{OrderID: "C2", Credit: true}); !fresh || err != nil {
		t.Errorf("money only: %v, %v", fresh, err)
	}
}

func TestEachReservation(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustReceive(t, tx, "a", "b")
	MustReserve(t, tx, "o1", threeLines)
	if _, err := Restock(t.Context(), tx, orderevents.Returned{OrderID: "C1", Credit: true}); err != nil {
		t.Fatal(err)
	}
	var got []Fact
	err := EachReservation(t.Context(), tx, func(f Fact) error { got = append(got, f); return nil })
	want := []Fact{{"C1", StateReturned, true}, {"o1", StateReserved, false}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	stop := errors.New("stop")
	if err := EachReservation(t.Context(), tx, func(Fact) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visit's error is lost: %v", err)
	}
}

// The table itself keeps counters from going below zero and from not adding up.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	MustReceive(t, tx, "a")
	for _, query := range []string{
		"UPDATE inventory_stock SET on_hand = on_hand - 1",
		"UPDATE inventory_stock SET on_hand = on_hand - 11, reserved = reserved + 11",
		"UPDATE inventory_stock SET on_hand = on_hand + 1, reserved = reserved - 1",
		"INSERT INTO inventory_reservations (order_id, state) VALUES ('o1', 'lost')",
		"INSERT INTO inventory_lines (order_id, sku, quantity) VALUES ('o1', 'a', 0)",
	} {
		if _, err := tx.ExecContext(t.Context(), query); err == nil {
			t.Errorf("%s: no error", query)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tamper string
		want   []Fault
	}{
		"lost piece": {"UPDATE inventory_stock SET on_hand = on_hand - 1 WHERE sku = 'a'",
			[]Fault{{"a", "6 on hand + 3 reserved + 0 shipped - 0 returned is not the initial 10"}}},
		"counter": {"UPDATE inventory_stock SET reserved = 1, shipped = 4 WHERE sku = 'b'",
			[]Fault{{"b", "1 reserved in stock, but the orders add up to 5"}, {"b", "4 shipped in stock, but the orders add up to 0"}}},
		"state": {"UPDATE inventory_reservations SET state = 'released'",
			[]Fault{{"a", "3 reserved in stock, but the orders add up to 0"}, {"b", "5 reserved in stock, but the orders add up to 0"}}},
		"credit": {"UPDATE inventory_reservations SET state = 'returned', credit = 1",
			[]Fault{{"a", "3 reserved in stock, but the orders add up to 0"}, {"a", "0 returned in stock, but the orders add up to 3"},
				{"b", "5 reserved in stock, but the orders add up to 0"}, {"b", "0 returned in stock, but the orders add up to 5"}}},
		"no stock": {"DELETE FROM inventory_stock WHERE sku = 'a'",
			[]Fault{{"a", "orders have goods of the article, but the article has no stock"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := dbtest.MustTx(t, Schema)
			MustReceive(t, tx, "a", "b")
			MustReserve(t, tx, "o1", threeLines)
			dbtest.MustExec(t, tx, "PRAGMA ignore_check_constraints = ON")
			dbtest.MustExec(t, tx, tt.tamper)
			if got, err := Check(t.Context(), tx); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// TestNeverBelowZero lets orders of random size compete for the same goods, and checks the books after each move.
func TestNeverBelowZero(t *testing.T) {
	t.Parallel()
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	tx := dbtest.MustTx(t, Schema)
	skus := []string{"a", "b", "c"}
	MustReceive(t, tx, skus...)
	short := 0
	for n := range 200 {
		id := string(rune('A' + n))
		var lines []orderevents.Line
		for range r.IntN(4) {
			lines = append(lines, orderevents.Line{SKU: skus[r.IntN(3)], Quantity: 1 + r.Int64N(4)})
		}
		missing, _, err := Reserve(t.Context(), tx, id, lines)
		if err == nil && len(missing) > 0 {
			short++
			continue
		}
		if err == nil {
			_, err = []func() (bool, error){
				func() (bool, error) { return Release(t.Context(), tx, id) },
				func() (bool, error) {
					if _, err := Ship(t.Context(), tx, id); err != nil {
						return false, err
					}
					return Restock(t.Context(), tx, orderevents.Returned{OrderID: id})
				},
				func() (bool, error) { return false, nil }, // it keeps its goods
				func() (bool, error) { return Release(t.Context(), tx, id) },
			}[r.IntN(4)]()
		}
		if err != nil {
			t.Fatalf("seed %d, order %d: %v", seed, n, err)
		}
		if faults, err := Check(t.Context(), tx); err != nil || len(faults) > 0 {
			t.Fatalf("seed %d, order %d: %v, %v", seed, n, faults, err)
		}
	}
	if short == 0 || short == 200 {
		t.Errorf("%d of 200 orders were short: nothing competed", short)
	}
}

// What comes in at once is bounded, and counters that wrap are not taken for right.
func TestCountersThatCannotBeCounted(t *testing.T) {
	t.Parallel()
	tx := dbtest.MustTx(t, Schema)
	if fresh, err := Receive(t.Context(), tx, "a", MaxDelivery+1); fresh || !errors.Is(err, ErrInvalid) {
		t.Errorf("received %t, %v", fresh, err)
	}
	if fresh, err := Receive(t.Context(), tx, "a", MaxDelivery); !fresh || err != nil {
		t.Errorf("received %t, %v", fresh, err)
	}
	wraps := Stock{SKU: "a", OnHand: math.MaxInt64, Reserved: math.MaxInt64, Shipped: 2}
	if got := wraps.faults(wraps); len(got) != 1 {
		t.Errorf("faults %v, want that of the sum", got)
	}
}
