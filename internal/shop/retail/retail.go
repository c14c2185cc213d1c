// Package retail reads the CSV form of the Online Retail data set: one line per article of an invoice, with the columns
// InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID and Country.
//
// It imports the standard library only and knows nothing of the shop. Real files have edges, and the rule for all of them
// is the same: what cannot be used is named with its line number and the reason, and harms nothing beside it.
package retail

import (
	"errors"
	"strings"
	"time"
)

// ErrFormat means that the input as a whole is no such CSV: it has no header, or the header lacks a column that is needed.
var ErrFormat = errors.New("retail: not an Online Retail CSV")

// MaxAmount bounds what Read accepts as a quantity, a price in cents and the total of an invoice in cents. Beyond it a
// value is taken for a mistake; below it no sum over a file can overflow an int64.
const MaxAmount = 1_000_000_000_000

// File is what Read made of its input. Every line with data on it, other than the header, is in exactly one Line, one
// Charge or one Problem.
type File struct {
	Invoices []Invoice // in the order in which their first usable lines stand in the file
	Problems []Problem // in the order of the file
}

// Invoice is everything that the file says under one invoice number, wherever in the file it stands. Customer, country
// and time are those of its first usable line.
type Invoice struct {
	Number     string
	Credit     bool   // the number begins with C: goods come back and money is given back
	CustomerID string // empty for a guest
	Country    string
	Time       time.Time // the data set names no time zone: read as UTC
	Lines      []Line
	Charges    []Charge
}

// Total is the value of the invoice in cents: what the customer owes or, for a Credit, what is owed to the customer. A
// discount on an ordinary invoice can make it negative.
func (i Invoice) Total() int64 {
	var total int64
	for _, l := range i.Lines {
		total += l.Quantity * l.UnitPrice
	}
	for _, c := range i.Charges {
		total += c.Amount
	}
	return total
}

// Line is one article of an invoice. The quantity is above zero on credits too: so many pieces come back.
type Line struct {
	SKU         string
	Description string
	Quantity    int64
	UnitPrice   int64 // cents, zero or above
	LineNo      int   // where in the file it begins, from 1
}

// Charge is a part of an invoice that is no article, such as postage or a discount. Amount is in cents and has the sense
// of Invoice.Total: on an ordinary invoice quantity × price, so a discount is below zero; on a credit the negative of
// it, so what is given back is above zero.
type Charge struct {
	Code   string
	Amount int64
	LineNo int // where in the file it begins, from 1
}

// Problem is a line that could not be used. Invoice is empty where the line does not tell.
type Problem struct {
	Line    int // from 1
	Invoice string
	Reason  string // for people
}

// chargeCodes are the stock codes of the data set that stand for money rather than goods: postage (POST, and DOT for the
// web shop), discount, manual entry, carriage, samples, bank and marketplace fees, a charity's commission, padding, and
// the correction of a bad debt (B).
var chargeCodes = map[string]bool{
	"POST": true, "DOT": true, "D": true, "M": true, "C2": true, "S": true, "B": true,
	"CRUK": true, "PADS": true, "AMAZONFEE": true, "BANK CHARGES": true,
}

// IsCharge reports whether a stock code stands for money rather than goods: it is one of POST, DOT, D, M, C2, S, B, CRUK,
// PADS, AMAZONFEE and BANK CHARGES, or begins with gift_ (a voucher). Case does not matter, since the data set has m as
// well as M. Every other code is an article, also one of letters only (DCGSSGIRL is a party bag).
func IsCharge(code string) bool {
	code = strings.ToUpper(code)
	return chargeCodes[code] || strings.HasPrefix(code, "GIFT_")
}
