// Package workload makes the orders of the demo from a seed: the goods and the fate of each order.
//
// An order depends only on the seed and the number of the order. So a demo can be repeated, continued after a crash,
// or made longer without a change to earlier orders. The package imports the standard library only, and does not
// depend on the shop: the program that runs the orders gives each order the planned Fate.
package workload

import (
	"fmt"
	"math/rand/v2"
)

// Fate is the planned end of an order.
type Fate string

// The fates.
const (
	Happy         Fate = "happy"         // charged, dispatched, completed
	Shortage      Fate = "shortage"      // the order wants more of an article than the stock has
	Decline       Fate = "decline"       // the gateway declines the charge
	Flaky         Fate = "flaky"         // external services fail a few times and then work
	Undeliverable Fate = "undeliverable" // the carrier cannot deliver; the customer gets a refund
	CancelEarly   Fate = "cancel-early"  // the customer cancels at once
	CancelLate    Fate = "cancel-late"   // the customer cancels while the parcel leaves; either may be first
	Return        Fate = "return"        // completed, and then the goods come back
)

// Fates are all fates, in the order of the constants.
var Fates = []Fate{Happy, Shortage, Decline, Flaky, Undeliverable, CancelEarly, CancelLate, Return}

// deck is the number of orders of each fate in deckSize orders. Each deckSize orders have a deck, shuffled anew: the
// mix is the same everywhere, and every fate occurs soon.
var deck = map[Fate]int{
	Happy: 25, Shortage: 2, Decline: 3, Flaky: 2, Undeliverable: 2, CancelEarly: 2, CancelLate: 2, Return: 2,
}

const deckSize = 40

// Order is a planned order. Amounts are in cents.
type Order struct {
	ID         string // "demo-<seed>-000001"
	CustomerID string // empty for a guest
	Lines      []Line // one to four different articles
	Charges    []Charge
	Fate       Fate
}

// Line is a quantity of an article, at a price in cents.
type Line struct {
	SKU       string
	Quantity  int64
	UnitPrice int64
}

// Charge is a part of an order without an article, in cents: POST is postage, D a discount, which is negative.
type Charge struct {
	Code   string
	Amount int64
}

// Total returns the price of the order in cents, which is positive.
func (o Order) Total() int64 {
	total := o.goods()
	for _, c := range o.Charges {
		total += c.Amount
	}
	return total
}

func (o Order) goods() int64 {
	var total int64
	for _, l := range o.Lines {
		total += l.Quantity * l.UnitPrice
	}
	return total
}

// Plan returns the first n orders of a seed. A longer plan begins with the shorter plan.
//
// Of each 40 orders, counted from the first, 25 are Happy, and every other Fate occurs at least twice.
func Plan(seed uint64, n int) []Order {
	var orders []Order
	var fates []Fate
	for i := range n {
		if i%deckSize == 0 {
			fates = shuffledDeck(seed, uint64(i/deckSize))
		}
		orders = append(orders, order(seed, i, fates[i%deckSize]))
	}
	return orders
}

// The streams of random numbers of a seed. No two decisions share numbers.
const (
	deckStream = iota << 60
	orderStream
	stockStream
)

func random(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

func shuffledDeck(seed, number uint64) []Fate {
	var fates []Fate
	for _, f := range Fates {
		for range deck[f] {
			fates = append(fates, f)
		}
	}
	random(seed, deckStream+number).Shuffle(len(fates), func(i, j int) { fates[i], fates[j] = fates[j], fates[i] })
	return fates
}

// order returns the order with index i, from 0.
func order(seed uint64, i int, fate Fate) Order {
	r := random(seed, orderStream+uint64(i))
	o := Order{ID: fmt.Sprintf("demo-%d-%06d", seed, i+1), Fate: fate}
	if r.IntN(8) > 0 {
		o.CustomerID = fmt.Sprintf("customer-%04d", 1+r.IntN(2000))
	}
	for _, index := range r.Perm(len(plentiful))[:1+r.IntN(3)] {
		a := plentiful[index]
		o.Lines = append(o.Lines, Line{SKU: a.sku, Quantity: 1 + r.Int64N(5), UnitPrice: a.price})
	}
	if fate == Shortage {
		a := scarce[r.IntN(len(scarce))]
		o.Lines = append(o.Lines, Line{SKU: a.sku, Quantity: maxScarce + 1 + r.Int64N(5), UnitPrice: a.price})
	}
	o.Charges = charges(r, o.goods())
	return o
}

// charges adds postage to small orders, and a discount of a tenth to some of the large orders.
func charges(r *rand.Rand, goods int64) []Charge {
	switch {
	case goods < 30_00:
		return []Charge{{Code: "POST", Amount: 3_95}}
	case goods >= 60_00 && r.IntN(3) == 0:
		return []Charge{{Code: "D", Amount: -goods / 10}}
	}
	return nil
}
