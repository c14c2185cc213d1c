package order

import (
	"errors"
	"fmt"
	"math"

	"github.com/troupebus/troupe/domain/order/orderevents"
)

// The limits of one order. They bound the work that one event makes for every module.
const (
	MaxLines    = 2_000     // of lines, and of charges
	MaxQuantity = 1_000_000 // of one line
)

var errOverflow = errors.New("the total is more than can be counted")

// check returns the order's total in cents, or all that is wrong with it.
func (n New) check() (int64, error) {
	var problems []error
	if n.ID == "" {
		problems = append(problems, errors.New("the id is empty"))
	}
	if len(n.Lines) == 0 && len(n.Charges) == 0 {
		problems = append(problems, errors.New("there are neither lines nor charges"))
	}
	if len(n.Lines) > MaxLines || len(n.Charges) > MaxLines {
		// Not looked at one by one: the list of problems would be as long.
		problems = append(problems, fmt.Errorf("%d lines and %d charges: at most %d of each", len(n.Lines), len(n.Charges), MaxLines))
		return 0, refuse(problems)
	}
	for i, l := range n.Lines {
		problems = append(problems, checkLine(i+1, l)...)
	}
	for i, c := range n.Charges {
		if c.Code == "" {
			problems = append(problems, fmt.Errorf("charge %d: the code is empty", i+1))
		}
	}
	if len(problems) > 0 {
		return 0, refuse(problems)
	}
	total, err := n.total()
	if err != nil {
		return 0, refuse([]error{err})
	}
	return total, nil
}

func refuse(problems []error) error {
	return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(problems...))
}

func checkLine(number int, l orderevents.Line) []error {
	var problems []error
	if l.SKU == "" {
		problems = append(problems, fmt.Errorf("line %d: the sku is empty", number))
	}
	if l.Quantity < 1 || l.Quantity > MaxQuantity {
		problems = append(problems, fmt.Errorf("line %d: the quantity %d is not from 1 to %d", number, l.Quantity, MaxQuantity))
	}
	if l.UnitPrice < 0 {
		problems = append(problems, fmt.Errorf("line %d: the price of %d cents is below zero", number, l.UnitPrice))
	}
	return problems
}

// total adds up lines that have passed checkLine, and charges.
func (n New) total() (int64, error) {
	var total int64
	var ok bool
	for _, l := range n.Lines {
		if l.UnitPrice > math.MaxInt64/l.Quantity {
			return 0, errOverflow
		}
		if total, ok = add(total, l.UnitPrice*l.Quantity); !ok {
			return 0, errOverflow
		}
	}
	for _, c := range n.Charges {
		if total, ok = add(total, c.Amount); !ok {
			return 0, errOverflow
		}
	}
	if total < 0 {
		return 0, fmt.Errorf("the total of %d cents is below zero", total)
	}
	return total, nil
}

// add reports false where the sum does not fit.
func add(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}
