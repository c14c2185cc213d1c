package retail

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Read reads the whole of r, and holds it in memory until the File is dropped.
//
// Columns are found by the names in the header, in any order and case; Description and Country may be missing, and
// further columns are ignored. A byte order mark, blank lines, and line ends of any kind (LF, CRLF, CR) are fine. A Description that is not UTF-8 is read
// as Windows-1252, the encoding of the original data set; any other field that is not UTF-8 makes its line a Problem.
//
// A line that is unusable becomes a Problem, and all others are read as if it were not there. So that this holds for
// broken quotes too, a quoted field may run over several lines only as long as none of them is a whole record by itself:
// a quote that is never closed costs its own line and not those after it.
//
// An error means that r failed or, as ErrFormat, that the input is no such CSV at all.
func Read(r io.Reader) (File, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return File{}, fmt.Errorf("retail: read: %w", err)
	}
	lines := physicalLines(string(text))
	start := 0
	for start < len(lines) && isBlank(lines[start]) {
		start++
	}
	if start == len(lines) {
		return File{}, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	h, err := readHeader(lines[start])
	if err != nil {
		return File{}, err
	}
	b := builder{index: map[string]int{}}
	for i := start + 1; i < len(lines); {
		if isBlank(lines[i]) {
			i++
			continue
		}
		fields, used, err := recordAt(lines[i:], h.width)
		b.add(i+1, h, fields, err)
		i += used
	}
	return b.file, nil
}

// builder gathers rows into invoices.
type builder struct {
	file  File
	index map[string]int // invoice number to its place in file.Invoices
	total []int64        // beside file.Invoices
}

func (b *builder) add(line int, h header, fields []string, err error) {
	number := ""
	if err == nil {
		number = strings.ToValidUTF8(h.get(fields, invoiceNo), "\uFFFD")
		var r row
		if r, err = h.row(fields); err == nil {
			err = b.enter(line, r)
		}
	}
	if err != nil {
		b.file.Problems = append(b.file.Problems, Problem{Line: line, Invoice: number, Reason: err.Error()})
	}
}

// enter puts a row into its invoice. It changes nothing if it fails.
func (b *builder) enter(line int, r row) error {
	credit := isCredit(r.number)
	isCharge := IsCharge(r.code)
	switch {
	case !isCharge && credit && r.quantity > 0:
		return fmt.Errorf("the quantity %d is above zero on a credit invoice", r.quantity)
	case !isCharge && !credit && r.quantity < 0:
		return fmt.Errorf("the quantity %d is below zero on an ordinary invoice", r.quantity)
	case r.price > 0 && abs(r.quantity) > MaxAmount/r.price:
		return errors.New("quantity × price is too large")
	}
	quantity := r.quantity
	if credit {
		quantity = -quantity
	}
	inv, err := b.invoice(r, quantity*r.price)
	if err != nil {
		return err
	}
	if isCharge {
		inv.Charges = append(inv.Charges, Charge{Code: r.code, Amount: quantity * r.price, LineNo: line})
		return nil
	}
	inv.Lines = append(inv.Lines, Line{SKU: r.code, Description: r.description, Quantity: quantity, UnitPrice: r.price, LineNo: line})
	return nil
}

// invoice finds or opens the invoice that a row belongs to and adds amount to its total.
func (b *builder) invoice(r row, amount int64) (*Invoice, error) {
	i, ok := b.index[r.number]
	if !ok {
		i = len(b.file.Invoices)
		b.index[r.number] = i
		b.total = append(b.total, 0)
		b.file.Invoices = append(b.file.Invoices, Invoice{Number: r.number, Credit: isCredit(r.number),
			CustomerID: r.customer, Country: r.country, Time: r.time})
	}
	inv := &b.file.Invoices[i]
	if inv.CustomerID != r.customer {
		return nil, fmt.Errorf("it belongs to %s, but the invoice began with %s", customer(r.customer), customer(inv.CustomerID))
	}
	if abs(b.total[i]+amount) > MaxAmount {
		return nil, errors.New("the total of the invoice becomes too large")
	}
	b.total[i] += amount
	return inv, nil
}

func isCredit(number string) bool { return number[0] == 'C' || number[0] == 'c' }

func customer(id string) string {
	if id == "" {
		return "a guest"
	}
	return "customer " + quote(id)
}

func abs(n int64) int64 { return max(n, -n) }
