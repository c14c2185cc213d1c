package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/shop/retail"
)

// imported is the part of a report about the file.
type imported struct {
	File       string    `json:"file"`
	Orders     int       `json:"orders"`
	Credits    int       `json:"credits"`
	StockCodes int       `json:"stock_codes"`
	Problems   []problem `json:"problems"` // unusable lines; never nil
	Refused    []problem `json:"refused"`  // whole invoices, with their first line; never nil
}

// problem is an unusable part of the file, with the reason.
type problem struct {
	Line    int    `json:"line"`
	Invoice string `json:"invoice,omitempty"`
	Reason  string `json:"reason"`
}

// invoice is an invoice as an order of the shop.
type invoice struct {
	order.New
	number string
	line   int // first line in the file
	credit bool
}

// importer imports the invoices of a file.
type importer struct {
	imported
	stock    []handlers.Delivery
	invoices []invoice
	entered  atomic.Int64
}

func newImporter(path string, pieces int64, f retail.File) *importer {
	i := &importer{imported: imported{File: path, Problems: []problem{}, Refused: []problem{}}}
	known := map[string]bool{}
	for _, p := range f.Problems {
		i.Problems = append(i.Problems, problem(p))
	}
	for _, v := range f.Invoices {
		known[v.Number] = true
		i.take(v)
	}
	for _, p := range f.Problems {
		if p.Invoice != "" && !known[p.Invoice] {
			known[p.Invoice] = true
			i.Refused = append(i.Refused, problem{p.Line, p.Invoice, "no line is usable"})
		}
	}
	byLine := func(a, b problem) int { return a.Line - b.Line }
	slices.SortStableFunc(i.Problems, byLine)
	slices.SortStableFunc(i.Refused, byLine)
	i.receive(pieces)
	return i
}

// take converts an invoice to an order or a credit note, or reports why the invoice is unusable.
func (i *importer) take(v retail.Invoice) {
	n := invoice{number: v.Number, credit: v.Credit, New: order.New{ID: "inv-" + v.Number, CustomerID: v.CustomerID}, line: firstLineNo(v)}
	var total int64
	for _, l := range v.Lines {
		if bad := order.BadName(l.SKU, order.MaxName); bad != "" {
			i.Problems = append(i.Problems, problem{l.LineNo, v.Number, "the StockCode " + bad})
			continue
		}
		if l.Quantity > order.MaxQuantity {
			i.Problems = append(i.Problems, problem{l.LineNo, v.Number, fmt.Sprintf("the quantity %d is above %d", l.Quantity, order.MaxQuantity)})
			continue
		}
		n.Lines = append(n.Lines, orderevents.Line{SKU: l.SKU, Quantity: l.Quantity, UnitPrice: l.UnitPrice})
		total += l.Quantity * l.UnitPrice
	}
	for _, c := range v.Charges {
		if bad := order.BadName(c.Code, order.MaxName); bad != "" {
			i.Problems = append(i.Problems, problem{c.LineNo, v.Number, "the StockCode " + bad})
			continue
		}
		n.Charges = append(n.Charges, orderevents.Charge{Code: c.Code, Amount: c.Amount})
		total += c.Amount
	}
	switch {
	case len(n.Lines)+len(n.Charges) == 0:
		i.refuse(n, "no line is usable")
	case len(n.Lines) > order.MaxLines || len(n.Charges) > order.MaxLines:
		i.refuse(n, fmt.Sprintf("%d lines and %d charges: an order has at most %d of each", len(n.Lines), len(n.Charges), order.MaxLines))
	case total < 0:
		i.refuse(n, fmt.Sprintf("the total of %d cents is below zero, which no order can have", total))
	default:
		i.invoices = append(i.invoices, n)
	}
}

func (i *importer) refuse(n invoice, reason string) {
	i.Refused = append(i.Refused, problem{n.line, n.number, reason})
}

func firstLineNo(v retail.Invoice) int {
	first := 0
	for _, l := range v.Lines {
		if first == 0 || l.LineNo < first {
			first = l.LineNo
		}
	}
	for _, c := range v.Charges {
		if first == 0 || c.LineNo < first {
			first = c.LineNo
		}
	}
	return first
}

// receive lists the first delivery of every stock code, and counts orders, credit notes and stock codes.
func (i *importer) receive(pieces int64) {
	seen := map[string]bool{}
	for _, n := range i.invoices {
		if n.credit {
			i.Credits++
		} else {
			i.Orders++
		}
		for _, l := range n.Lines {
			if !seen[l.SKU] {
				seen[l.SKU] = true
				i.stock = append(i.stock, handlers.Delivery{SKU: l.SKU, Quantity: pieces})
			}
		}
	}
	i.StockCodes = len(i.stock)
}

// useless returns the reason why the file has no usable invoice.
func (i *importer) useless() string {
	for _, problems := range [][]problem{i.Problems, i.Refused} {
		if len(problems) > 0 {
			return fmt.Sprintf("no invoice is usable: line %d: %s", problems[0].Line, journal.Printable(problems[0].Reason))
		}
	}
	return "the file has no invoice"
}

// done returns the progress as text.
func (i *importer) done() string {
	return fmt.Sprintf("%d of %d invoices entered", i.entered.Load(), len(i.invoices))
}

// stockBatch is the number of articles that are received in a commit.
const stockBatch = 500

// desk is the shop, in a single process or in several, as the importer uses it.
type desk struct {
	orders *handlers.Orders
	stock  *handlers.Stock
	quiet  func(ctx context.Context) error
}

// work imports all invoices, in the order of the file. Invoices with an article in common are never in flight
// together, so chance does not decide which order gets the last piece.
func (i *importer) work(ctx context.Context, s place) (placed int, err error) {
	return i.enterAll(ctx, desk{s.orders, s.stock, s.bus.Quiet})
}

func (i *importer) enterAll(ctx context.Context, d desk) (placed int, err error) {
	for batch := range slices.Chunk(i.stock, stockBatch) {
		if _, err := d.stock.Receive(ctx, batch); err != nil {
			return 0, fmt.Errorf("receive the stock: %w", err)
		}
	}
	if err := d.quiet(ctx); err != nil { // work left by an earlier import comes first
		return 0, err
	}
	moving := map[string]bool{}
	for _, n := range i.invoices {
		if slices.ContainsFunc(n.Lines, func(l orderevents.Line) bool { return moving[l.SKU] }) {
			if err := d.quiet(ctx); err != nil {
				return placed, err
			}
			clear(moving)
		}
		fresh, err := i.enter(ctx, d, n)
		if err != nil {
			return placed, fmt.Errorf("invoice %s: %w", n.number, err)
		}
		if fresh {
			placed++
			for _, l := range n.Lines {
				moving[l.SKU] = true
			}
		}
		i.entered.Add(1)
	}
	return placed, d.quiet(ctx)
}

// enter imports an invoice, and reports whether the invoice is new. It records an invoice that the shop refuses.
func (i *importer) enter(ctx context.Context, d desk, n invoice) (fresh bool, err error) {
	if n.credit {
		fresh, err = d.orders.Credit(ctx, n.New, "credit note "+n.number)
	} else {
		_, fresh, err = d.orders.Place(ctx, n.New, "")
	}
	switch {
	case errors.Is(err, order.ErrConflict):
		i.refuse(n, "imported before with other content")
	case errors.Is(err, order.ErrInvalid), errors.Is(err, bus.ErrTooLarge):
		i.refuse(n, err.Error())
	default:
		return fresh, err
	}
	return false, nil
}

// shownProblems is the number of problems of each kind that a report shows as text.
const shownProblems = 20

func (i *imported) write(w *strings.Builder) {
	fmt.Fprintf(w, "%s: %d orders and %d credit notes, %d stock codes\n", i.File, i.Orders, i.Credits, i.StockCodes)
	writeProblems(w, "unusable lines", i.Problems)
	writeProblems(w, "invoices not imported", i.Refused)
	fmt.Fprintln(w)
}

func writeProblems(w *strings.Builder, what string, problems []problem) {
	if len(problems) == 0 {
		return
	}
	fmt.Fprintf(w, "%d %s:\n", len(problems), what)
	for _, p := range problems[:min(shownProblems, len(problems))] {
		fmt.Fprintf(w, "  line %d", p.Line)
		if p.Invoice != "" {
			fmt.Fprintf(w, ", invoice %s", journal.Clip(p.Invoice, 40))
		}
		fmt.Fprintf(w, ": %s\n", journal.Printable(p.Reason))
	}
	if more := len(problems) - shownProblems; more > 0 {
		fmt.Fprintf(w, "  and %d more: --json lists them all\n", more)
	}
}
