package order

import (
	"errors"
	"fmt"

	"github.com/troupebus/troupe/domain/order/orderevents"
)

// The limits of an order. They bound the work that an event causes in every module.
const (
	MaxLines    = 2_000     // of lines, and of charges
	MaxQuantity = 1_000_000 // of one line
	// MaxTotal is the largest total, price or charge, in cents. A larger amount is taken for a mistake. Sums over
	// millions of smaller amounts fit in an int64.
	MaxTotal = 1_000_000_000_000
)

var errTotal = fmt.Errorf("the total is above %d cents", int64(MaxTotal))

// check returns the order's total in cents, or an ErrInvalid with all problems.
func (n New) check() (int64, error) {
	var problems []error
	if n.ID == "" {
		problems = append(problems, errors.New("the id is empty"))
	}
	problems = append(problems, checkName("the id", n.ID, MaxID)...)
	problems = append(problems, checkName("the customer's id", n.CustomerID, MaxPerson)...)
	if len(n.Lines) == 0 && len(n.Charges) == 0 {
		problems = append(problems, errors.New("there are neither lines nor charges"))
	}
	if len(n.Lines) > MaxLines || len(n.Charges) > MaxLines {
		// No check line by line: the list of problems would be as long as the order.
		problems = append(problems, fmt.Errorf("%d lines and %d charges: at most %d of each", len(n.Lines), len(n.Charges), MaxLines))
		return 0, refuse(problems)
	}
	for i, l := range n.Lines {
		problems = append(problems, checkLine(i+1, l)...)
	}
	for i, c := range n.Charges {
		problems = append(problems, checkCharge(i+1, c)...)
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
	problems = append(problems, checkName(fmt.Sprintf("line %d: the sku", number), l.SKU, MaxName)...)
	if l.UnitPrice < 0 || l.UnitPrice > MaxTotal {
		problems = append(problems, fmt.Errorf("line %d: the price of %d cents is not from 0 to %d", number, l.UnitPrice, int64(MaxTotal)))
	}
	return problems
}

func checkCharge(number int, c orderevents.Charge) []error {
	var problems []error
	if c.Code == "" {
		problems = append(problems, fmt.Errorf("charge %d: the code is empty", number))
	}
	problems = append(problems, checkName(fmt.Sprintf("charge %d: the code", number), c.Code, MaxName)...)
	if c.Amount < -MaxTotal || c.Amount > MaxTotal {
		problems = append(problems, fmt.Errorf("charge %d: the amount of %d cents is not from %d to %d", number, c.Amount, int64(-MaxTotal), int64(MaxTotal)))
	}
	return problems
}

// total adds up lines that passed checkLine, and charges that passed checkCharge. The sum fits in an int64: at most 2
// × MaxLines × MaxTotal.
func (n New) total() (int64, error) {
	var total int64
	for _, l := range n.Lines {
		if l.UnitPrice > MaxTotal/l.Quantity {
			return 0, errTotal
		}
		total += l.UnitPrice * l.Quantity
	}
	for _, c := range n.Charges {
		total += c.Amount
	}
	switch {
	case total < 0:
		return 0, fmt.Errorf("the total of %d cents is below zero", total)
	case total > MaxTotal:
		return 0, errTotal
	}
	return total, nil
}
