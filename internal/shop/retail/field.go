package retail

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The columns, as indexes of columnNames.
const (
	invoiceNo = iota
	stockCode
	quantity
	invoiceDate
	unitPrice
	customerID
	description
	country
	columns
)

// columnNames begins with the columns that every file needs.
var columnNames = [columns]string{"InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Description", "Country"}

// dateLayouts are the layout of the data set, with the month first, and the layout of many saved copies.
var dateLayouts = []string{"1/2/2006 15:04", "2006-01-02 15:04:05"}

// header has the index of each column, or -1 for a missing column.
type header struct {
	at    [columns]int
	width int
}

func readHeader(line string) (header, error) {
	names, err := split(line)
	if err != nil {
		return header{}, fmt.Errorf("%w: the header: %w", ErrFormat, err)
	}
	h := header{width: len(names)}
	var missing []string
	for column, name := range columnNames {
		h.at[column] = -1
		for i, n := range names {
			if !strings.EqualFold(strings.TrimSpace(n), name) {
				continue
			}
			if h.at[column] >= 0 {
				return header{}, fmt.Errorf("%w: the header has the column %s twice", ErrFormat, name)
			}
			h.at[column] = i
		}
		if h.at[column] < 0 && column < description {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return header{}, fmt.Errorf("%w: the header %s lacks the columns %s", ErrFormat, quote(line), strings.Join(missing, ", "))
	}
	return h, nil
}

// get returns the field of a column, without surrounding space.
func (h header) get(fields []string, column int) string {
	if h.at[column] < 0 {
		return ""
	}
	return strings.TrimSpace(fields[h.at[column]])
}

// row is a parsed record.
type row struct {
	number, code, description, customer, country string
	quantity, price                              int64
	time                                         time.Time
}

// row parses the fields of a record. Errors are reasons for people.
func (h header) row(fields []string) (row, error) {
	for column := range description {
		if !utf8.ValidString(h.get(fields, column)) {
			return row{}, fmt.Errorf("the %s is not valid UTF-8", columnNames[column])
		}
	}
	r := row{number: h.get(fields, invoiceNo), code: h.get(fields, stockCode), customer: h.get(fields, customerID),
		country: h.get(fields, country), description: asUTF8(h.get(fields, description))}
	switch {
	case r.number == "":
		return row{}, errors.New("the InvoiceNo is missing")
	case r.code == "":
		return row{}, errors.New("the StockCode is missing")
	case !utf8.ValidString(r.country):
		return row{}, errors.New("the Country is not valid UTF-8")
	}
	var err error
	if r.quantity, err = parseQuantity(h.get(fields, quantity)); err != nil {
		return row{}, err
	}
	if r.price, err = parsePrice(h.get(fields, unitPrice)); err != nil {
		return row{}, err
	}
	r.time, err = parseDate(h.get(fields, invoiceDate))
	return r, err
}

func parseQuantity(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case s == "":
		return 0, errors.New("the Quantity is missing")
	case errors.Is(err, strconv.ErrRange) || err == nil && (n > MaxAmount || n < -MaxAmount):
		return 0, fmt.Errorf("the quantity %s is too large", quote(s))
	case err != nil:
		return 0, fmt.Errorf("the quantity %s is not a whole number", quote(s))
	case n == 0:
		return 0, errors.New("the quantity is zero")
	}
	return n, nil
}

// parsePrice parses a decimal with a point as cents. parsePrice counts digits, because a float would lose some.
func parsePrice(s string) (int64, error) {
	if s == "" {
		return 0, errors.New("the UnitPrice is missing")
	}
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, fmt.Errorf("the price %s is not a number", quote(s))
	}
	fraction = strings.TrimRight(fraction, "0")
	if negative && strings.Trim(whole+fraction, "0") != "" {
		return 0, fmt.Errorf("the price %s is below zero", quote(s))
	}
	if len(fraction) > 2 {
		return 0, fmt.Errorf("the price %s is not a whole number of cents", quote(s))
	}
	cents, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil || cents > MaxAmount {
		return 0, fmt.Errorf("the price %s is too large", quote(s))
	}
	return cents, nil
}

func parseDate(s string) (time.Time, error) {
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("the date %s is not like %s", quote(s), strings.Join(dateLayouts, " or "))
}

// quote returns a field of any length and content as a short text on one line.
func quote(s string) string {
	if runes := []rune(s); len(runes) > 60 {
		s = string(runes[:60]) + "…"
	}
	return strconv.Quote(s)
}

// windows1252 are the characters of the bytes 0x80 to 0x9F in Windows-1252; five of the bytes have no character. Any
// other byte is the character of the same number.
var windows1252 = []rune("€\uFFFD‚ƒ„…†‡ˆ‰Š‹Œ\uFFFDŽ\uFFFD\uFFFD‘’“”•–—˜™š›œ\uFFFDžŸ")

// asUTF8 returns UTF-8 as it is, and decodes any other text as Windows-1252.
func asUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 0x80 && c < 0xA0 {
			b.WriteRune(windows1252[c-0x80])
		} else {
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}
