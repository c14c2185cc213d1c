package retail

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Read reads all of r. The File keeps the text in memory.
//
// Columns are found by the names in the header, in any order and case. Description and Country may be missing, and
// further columns are ignored. Read accepts a byte order mark, blank lines, and LF, CRLF or CR as line ends. A
// Description that is not UTF-8 is decoded as Windows-1252, the encoding of the original data set. Any other field
// that is not UTF-8 makes the line a Problem.
//
// An unusable line becomes a Problem and does not affect other lines, not even by a broken quote: a quoted field runs
// on over further lines only until a line that is a whole record by itself. A quote that is never closed costs its
// own line, and no line after it.
//
// An error means that reading r failed, or, with ErrFormat, that the input is not an Online Retail CSV.
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
		return File{}, fmt.Errorf("%w: the file is empty", ErrFormat)
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

// builder collects rows into invoices.
type builder struct {
	file  File
	index map[string]int // invoice number to the index in file.Invoices
	total []int64        // by the same index
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

// enter adds a row to the row's invoice. After an error the file is unchanged.
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
	inv.Lines = append(inv.Lines, Line{
		SKU: r.code, Description: r.description, Quantity: quantity, UnitPrice: r.price, LineNo: line,
	})
	return nil
}

// invoice returns the invoice of a row, a new one if necessary, and adds amount to the total.
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
		return nil, fmt.Errorf("the line belongs to %s, but the invoice to %s", customer(r.customer), customer(inv.CustomerID))
	}
	if abs(b.total[i]+amount) > MaxAmount {
		return nil, errors.New("the total of the invoice is too large")
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
