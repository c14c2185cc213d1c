// Package retail reads the CSV form of the Online Retail data set: a line for each article of an invoice, with the
// columns InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID and Country.
//
// The package imports the standard library only, and does not depend on the shop. Real files have unusable lines. For
// each of them retail reports the line number and the reason, and reads the other lines as usual.
package retail

import (
	"errors"
	"strings"
	"time"
)

// ErrFormat means that the input is not an Online Retail CSV: the header, or a required column, is missing.
var ErrFormat = errors.New("retail: not an Online Retail CSV")

// MaxAmount is the largest quantity, price in cents and invoice total in cents that Read accepts. A larger value is
// taken for a mistake. With this bound no sum over a file can overflow an int64.
const MaxAmount = 1_000_000_000_000

// File is the result of Read. Every line with data, except the header, is in exactly one Line, Charge or Problem.
type File struct {
	Invoices []Invoice // sorted by the first usable line of each
	Problems []Problem // in the order of the file
}

// Invoice is an invoice with all its lines, wherever they are in the file. Customer, country and time are from the
// first usable line.
type Invoice struct {
	Number     string
	Credit     bool   // the number begins with C: goods come back, and the customer gets a refund
	CustomerID string // empty for a guest
	Country    string
	Time       time.Time // read as UTC: the data set has no time zone
	Lines      []Line
	Charges    []Charge
}

// Total returns the value of the invoice in cents: the customer's debt or, for a Credit, the refund. A discount on an
// ordinary invoice can make the total negative.
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

// Line is an article of an invoice. The quantity is positive in credits as well: the pieces that come back.
type Line struct {
	SKU         string
	Description string
	Quantity    int64
	UnitPrice   int64 // in cents, never negative
	LineNo      int   // the number of the first line in the file, from 1
}

// Charge is a part of an invoice without an article, such as postage or a discount. Amount is in cents, with the sign
// of Invoice.Total: in an ordinary invoice quantity × price, so a discount is negative; in a credit the opposite, so
// a refund is positive.
type Charge struct {
	Code   string
	Amount int64
	LineNo int // the number of the first line in the file, from 1
}

// Problem is an unusable line. Invoice is empty if the line has no readable number.
type Problem struct {
	Line    int // from 1
	Invoice string
	Reason  string // for people
}

// chargeCodes are the stock codes of the data set that stand for money and not for goods: postage (POST, and DOT for
// the web shop), discount, manual entry, carriage, samples, bank and marketplace fees, a charity's commission,
// padding, and the correction of a bad debt (B).
var chargeCodes = map[string]bool{
	"POST": true, "DOT": true, "D": true, "M": true, "C2": true, "S": true, "B": true,
	"CRUK": true, "PADS": true, "AMAZONFEE": true, "BANK CHARGES": true,
}

// IsCharge reports whether a stock code stands for money and not for goods. Such a code is POST, DOT, D, M, C2, S, B,
// CRUK, PADS, AMAZONFEE or BANK CHARGES, or begins with gift_ (a voucher). Case does not matter: the data set has
// both m and M. Every other code is an article, also a code of letters only (DCGSSGIRL is a party bag).
func IsCharge(code string) bool {
	code = strings.ToUpper(code)
	return chargeCodes[code] || strings.HasPrefix(code, "GIFT_")
}
