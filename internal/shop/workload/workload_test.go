package workload

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
)

var seeds = []uint64{0, 1, 2, 42, 1 << 60, math.MaxUint64}

func TestLongerPlanBeginsWithTheShorter(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds {
		long := Plan(seed, 1000)
		for _, n := range []int{0, 1, 7, 39, 40, 41, 300} {
			if short := Plan(seed, n); len(short) != n || !slices.EqualFunc(short, long[:n], func(a, b Order) bool { return reflect.DeepEqual(a, b) }) {
				t.Errorf("seed %d: the first %d of 1000 orders differ from %d orders", seed, n, n)
			}
		}
	}
	if reflect.DeepEqual(Plan(1, 1)[0].Lines, Plan(2, 1)[0].Lines) && reflect.DeepEqual(Plan(1, 2)[1].Lines, Plan(2, 2)[1].Lines) {
		t.Error("the seed makes no difference")
	}
	if Plan(1, -1) != nil {
		t.Error("a plan of less than no orders has some")
	}
}

// TestPlanIsWritten pins what a seed means: a change of it would make recorded runs unrepeatable.
func TestPlanIsWritten(t *testing.T) {
	t.Parallel()
	got := fmt.Sprintf("%+v", Plan(42, 41)[40])
	want := "{ID:demo-42-000041 CustomerID:customer-1889 Lines:[{SKU:WATERING-CAN Quantity:3 UnitPrice:2525}] Charges:[] Fate:decline}"
	if got != want {
		t.Errorf("order 41 of seed 42 is\n%s, want\n%s", got, want)
	}
}

func TestFateMix(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		counts := map[Fate]int{}
		for _, o := range Plan(seed, 2*deckSize)[deckSize*int(seed%2):][:deckSize] {
			counts[o.Fate]++
		}
		if !reflect.DeepEqual(counts, deck) {
			t.Fatalf("seed %d: 40 orders have the fates %v", seed, counts)
		}
		for _, f := range Fates {
			if counts[f] == 0 {
				t.Fatalf("seed %d: no %s in 40 orders", seed, f)
			}
		}
	}
	if a, b := Plan(1, 80)[:40], Plan(1, 80)[40:]; slices.EqualFunc(a, b, func(a, b Order) bool { return a.Fate == b.Fate }) {
		t.Error("the second 40 orders have the fates of the first")
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds {
		onShelf := map[string]int64{}
		for _, item := range Stock(seed) {
			onShelf[item.SKU] = item.Quantity
		}
		codes := map[string]int{}
		guests := 0
		orders := Plan(seed, 1000)
		for i, o := range orders {
			checkOrder(t, o, onShelf)
			if want := fmt.Sprintf("demo-%d-%06d", seed, i+1); o.ID != want {
				t.Fatalf("id is %s, want %s", o.ID, want)
			}
			if o.CustomerID == "" {
				guests++
			}
			for _, c := range o.Charges {
				codes[c.Code]++
			}
		}
		if guests < 50 || guests > 250 || codes["POST"] < 50 || codes["D"] < 50 {
			t.Errorf("seed %d: %d guests, charges %v: want some of each", seed, guests, codes)
		}
	}
}

func checkOrder(t *testing.T, o Order, onShelf map[string]int64) {
	t.Helper()
	skus := map[string]bool{}
	short := false
	for _, l := range o.Lines {
		stock, ok := onShelf[l.SKU]
		if !ok || skus[l.SKU] || l.Quantity < 1 || l.UnitPrice < 1 {
			t.Fatalf("%+v: line %+v is not sold, twice there or empty", o, l)
		}
		skus[l.SKU] = true
		short = short || l.Quantity > stock
		if o.Fate != Shortage && stock <= maxScarce {
			t.Fatalf("%+v wants a scarce article", o)
		}
	}
	if len(o.Lines) < 1 || len(o.Lines) > 4 || short != (o.Fate == Shortage) {
		t.Fatalf("%+v: short is %t", o, short)
	}
	total := o.goods()
	for _, c := range o.Charges {
		total += c.Amount
	}
	if total <= 0 || o.Total() != total {
		t.Fatalf("%+v: total is %d", o, o.Total())
	}
}

// TestPlentySuffices: what a plan takes of an article leaves the stock enough for millions of orders.
func TestPlentySuffices(t *testing.T) {
	t.Parallel()
	const n = 20_000
	taken := map[string]int64{}
	for _, o := range Plan(3, n) {
		for _, l := range o.Lines {
			taken[l.SKU] += l.Quantity
		}
	}
	for _, a := range plentiful {
		if taken[a.sku] == 0 || taken[a.sku] > n/5 {
			t.Errorf("%d orders take %d of %s", n, taken[a.sku], a.sku)
		}
	}
}

func TestStock(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds {
		items := Stock(seed)
		skus := map[string]bool{}
		few := 0
		for _, item := range items {
			if skus[item.SKU] || item.Quantity < 1 || item.Quantity > maxScarce && item.Quantity < plenty {
				t.Errorf("seed %d: %+v is there twice, or neither plenty nor scarce", seed, item)
			}
			skus[item.SKU] = true
			if item.Quantity <= maxScarce {
				few++
			}
		}
		if len(items) != 44 || few != 4 || !reflect.DeepEqual(items, Stock(seed)) {
			t.Errorf("seed %d: %d articles, %d of them scarce, want 44 and 4", seed, len(items), few)
		}
	}
	if reflect.DeepEqual(Stock(1), Stock(2)) {
		t.Error("the seed makes no difference")
	}
}
