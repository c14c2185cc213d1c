package retail

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"

var morning = time.Date(2010, 12, 1, 8, 26, 0, 0, time.UTC)

// MustRead reads text and fails the test where it is no File.
func MustRead(tb testing.TB, text string) File {
	tb.Helper()
	f, err := Read(strings.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func expect(t *testing.T, got, want File) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// lamp is the invoice of the line "7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway".
func lamp(lineNo int) Invoice {
	return Invoice{Number: "7", CustomerID: "17850", Country: "Norway", Time: morning,
		Lines: []Line{{SKU: "L1", Description: "LAMP", Quantity: 2, UnitPrice: 150, LineNo: lineNo}}}
}

// Line ends of every kind mean the same, also mixed, and lines are counted as editors count them.
func TestReadLineEnds(t *testing.T) {
	t.Parallel()
	text := head + "\n7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway\n7,L1,LAMP,x,12/1/2010 8:26,1.5,17850,Norway\n7,L1,\"LAMP\nRED\",1,12/1/2010 8:26,1.5,17850,Norway\n"
	want := MustRead(t, text)
	if len(want.Invoices) != 1 || len(want.Invoices[0].Lines) != 2 || len(want.Problems) != 1 || want.Problems[0].Line != 4 {
		t.Fatalf("%+v", want)
	}
	for _, end := range []string{"\r", "\r\n"} {
		expect(t, MustRead(t, strings.ReplaceAll(text, "\n", end)), want)
	}
	expect(t, MustRead(t, strings.Replace(text, "\n", "\r", 3)), want)
	expect(t, MustRead(t, strings.Replace(text, "\n", "\r\n", 4)), want)
}

func TestReadGroupsByInvoice(t *testing.T) {
	t.Parallel()
	f := MustRead(t, head+
		"1,A1,APPLE,2,12/1/2010 8:26,1.05,17850,Norway\n"+
		"2,B1,BOOK,1,12/1/2010 8:26,2,,France\n"+
		"1,POST,POSTAGE,3,12/1/2010 8:27,18,17850,Sweden\n"+
		"1,d,Discount,-1,12/1/2010 8:26,0.5,17850,Norway\n"+
		"1,A1,APPLE,4,12/1/2010 8:26,0,17850,Norway\n"+
		"C3,A1,APPLE,-5,12/1/2010 8:26,1.05,17850,Norway\n"+
		"C3,D,Discount,-1,12/1/2010 8:26,27.5,17850,Norway\n"+
		"C3,M,Fee kept,1,12/1/2010 8:26,2,17850,Norway")
	expect(t, f, File{Invoices: []Invoice{
		{Number: "1", CustomerID: "17850", Country: "Norway", Time: morning,
			Lines:   []Line{{"A1", "APPLE", 2, 105, 2}, {"A1", "APPLE", 4, 0, 6}},
			Charges: []Charge{{"POST", 5400, 4}, {"d", -50, 5}}},
		{Number: "2", Country: "France", Time: morning, Lines: []Line{{"B1", "BOOK", 1, 200, 3}}},
		{Number: "C3", Credit: true, CustomerID: "17850", Country: "Norway", Time: morning,
			Lines:   []Line{{"A1", "APPLE", 5, 105, 7}},
			Charges: []Charge{{"D", 2750, 8}, {"M", -200, 9}}},
	}})
	for i, want := range []int64{2*105 + 5400 - 50, 200, 5*105 + 2750 - 200} {
		if got := f.Invoices[i].Total(); got != want {
			t.Errorf("total of invoice %s is %d, want %d", f.Invoices[i].Number, got, want)
		}
	}
}

func TestReadForms(t *testing.T) {
	t.Parallel()
	row := "7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway\n"
	described := func(d string, lineNo int) Invoice {
		i := lamp(lineNo)
		i.Lines[0].Description = d
		return i
	}
	credit := lamp(2)
	credit.Number, credit.Credit = "c7", true
	nowhere := described("", 2)
	nowhere.Country = ""
	tests := []struct {
		name, text string
		want       Invoice
	}{
		{"plain", head + row, lamp(2)},
		{"no newline at the end", head + strings.TrimSuffix(row, "\n"), lamp(2)},
		{"CRLF", strings.ReplaceAll(head+row, "\n", "\r\n"), lamp(2)},
		{"byte order mark", "\uFEFF" + head + row, lamp(2)},
		{"blank lines", "\n \r\n" + head + "\n\t\n" + row + "\n\n", lamp(6)},
		{"quoted header", `"InvoiceNo","StockCode",Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country` + "\n" + row, lamp(2)},
		{"reordered, further columns, other case",
			"Country, unitprice,CUSTOMERID,Note,InvoiceDate,Quantity,Description,StockCode,InvoiceNo\nNorway,1.5,17850,x,12/1/2010 8:26,2,LAMP,L1,7\n", lamp(2)},
		{"optional columns missing", "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID\n7,L1,2,12/1/2010 8:26,1.5,17850\n", nowhere},
		{"space around fields", head + " 7 , L1,LAMP ,2, 12/1/2010 8:26 ,1.5,\t17850, Norway\n", lamp(2)},
		{"all quoted", head + `"7","L1","LAMP","2","12/1/2010 8:26","1.5","17850","Norway"` + "\n", lamp(2)},
		{"comma in quotes", head + `7,L1,"LAMP,RED",2,12/1/2010 8:26,1.5,17850,Norway`, described("LAMP,RED", 2)},
		{"doubled quotes", head + `7,L1,"LAMP 7"" ""RED""",2,12/1/2010 8:26,1.5,17850,Norway`, described(`LAMP 7" "RED"`, 2)},
		{"line ends in quotes", head + "7,L1,\"LAMP\r\n\r\nRED, \"\"big\"\"\nand, tall\",2,12/1/2010 8:26,1.5,17850,Norway\r\n",
			described("LAMP\n\nRED, \"big\"\nand, tall", 2)},
		{"two fields with line ends", head + "7,L1,\"LAMP\n\",2,12/1/2010 8:26,1.5,17850,\"\nNorway\"", lamp(2)},
		{"Windows-1252 description", head + "7,L1,LAMP \xA35 \x96 \x80\x81,2,12/1/2010 8:26,1.5,17850,Norway\n", described("LAMP £5 – €\uFFFD", 2)},
		{"UTF-8 description", head + "7,L1,LAMP £5,2,12/1/2010 8:26,1.5,17850,Norway\n", described("LAMP £5", 2)},
		{"ISO date and more digits", head + "7,L1,LAMP,+2,2010-12-01 08:26:00,01.5000,17850,Norway\n", lamp(2)},
		{"lower case credit", head + "c7,L1,LAMP,-2,12/1/2010 8:26,1.5,17850,Norway\n", credit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, MustRead(t, tt.text), File{Invoices: []Invoice{tt.want}})
		})
	}
}

// TestReadProblems puts one bad line between two good ones of the same invoice, which it must not harm.
func TestReadProblems(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, line, invoice, reason string }{
		{"too few fields", "7,L1,LAMP,2", "", "4 fields where the header has 8"},
		{"too many fields", "7,L1,LAMP,RED,2,12/1/2010 8:26,1.5,17850,Norway", "", "9 fields where"},
		{"open quote", `7,L1,"LAMP,2,12/1/2010 8:26,1.5,17850,Norway`, "", "is not closed"},
		{"open quote at the end", `7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,"`, "", "is not closed"},
		{"stray quote", `7,L1,LAMP 7",2,12/1/2010 8:26,1.5,17850,Norway`, "", "a quote is inside a field"},
		{"text after the quotes", `7,L1,"LAMP"RED,2,12/1/2010 8:26,1.5,17850,Norway`, "", "a quote is inside a field"},
		{"quantity not whole", "7,L1,LAMP,2.5,12/1/2010 8:26,1.5,17850,Norway", "7", `the quantity "2.5" is not a whole number`},
		{"quantity missing", "7,L1,LAMP,,12/1/2010 8:26,1.5,17850,Norway", "7", "the Quantity is missing"},
		{"quantity zero", "7,L1,LAMP,0,12/1/2010 8:26,1.5,17850,Norway", "7", "the quantity is zero"},
		{"quantity beyond int64", "7,L1,LAMP,9223372036854775808,12/1/2010 8:26,1.5,17850,Norway", "7", "is too large"},
		{"quantity beyond reason", "7,L1,LAMP,1000000000001,12/1/2010 8:26,0,17850,Norway", "7", "is too large"},
		{"quantity of math.MinInt64", "C7,L1,LAMP,-9223372036854775808,12/1/2010 8:26,1.5,17850,Norway", "C7", "is too large"},
		{"negative on an ordinary invoice", "7,L1,LAMP,-2,12/1/2010 8:26,1.5,17850,Norway", "7", "the quantity -2 is below zero on an ordinary invoice"},
		{"positive on a credit invoice", "C7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway", "C7", "the quantity 2 is above zero on a credit invoice"},
		{"price missing", "7,L1,LAMP,2,12/1/2010 8:26,,17850,Norway", "7", "the UnitPrice is missing"},
		{"price negative", "7,B,Bad debt,1,12/1/2010 8:26,-11062.06,17850,Norway", "7", `the price "-11062.06" is below zero`},
		{"price not whole cents", "7,L1,LAMP,2,12/1/2010 8:26,0.001,17850,Norway", "7", `the price "0.001" is not a whole number of cents`},
		{"price in words", "7,L1,LAMP,2,12/1/2010 8:26,free,17850,Norway", "7", `the price "free" is not a number`},
		{"price with an exponent", "7,L1,LAMP,2,12/1/2010 8:26,1e2,17850,Norway", "7", "is not a number"},
		{"price with two points", "7,L1,LAMP,2,12/1/2010 8:26,1.2.3,17850,Norway", "7", "is not a number"},
		{"price of a point", "7,L1,LAMP,2,12/1/2010 8:26,.,17850,Norway", "7", "is not a number"},
		{"price beyond int64", "7,L1,LAMP,2,12/1/2010 8:26,99999999999999999999,17850,Norway", "7", "is too large"},
		{"amount beyond reason", "7,L1,LAMP,1000000,12/1/2010 8:26,10000.01,17850,Norway", "7", "quantity × price is too large"},
		{"total beyond reason", "7,L1,LAMP,1000000,12/1/2010 8:26,10000,17850,Norway", "7", "the total of the invoice is too large"},
		{"code missing", "7,,LAMP,2,12/1/2010 8:26,1.5,17850,Norway", "7", "the StockCode is missing"},
		{"invoice number missing", " ,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway", "", "the InvoiceNo is missing"},
		{"only commas", ",,,,,,,", "", "the InvoiceNo is missing"},
		{"bad date", "7,L1,LAMP,2,13/1/2010 8:26,1.5,17850,Norway", "7", `the date "13/1/2010 8:26" is not like`},
		{"date missing", "7,L1,LAMP,2,,1.5,17850,Norway", "7", `the date "" is not like`},
		{"code not UTF-8", "7,L\x961,LAMP,2,12/1/2010 8:26,1.5,17850,Norway", "7", "the StockCode is not valid UTF-8"},
		{"country not UTF-8", "7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norw\xE5y", "7", "the Country is not valid UTF-8"},
		{"number not UTF-8", "7\xFF,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway", "7\uFFFD", "the InvoiceNo is not valid UTF-8"},
		{"another customer", "7,L1,LAMP,2,12/1/2010 8:26,1.5,17851,Norway", "7", `the line belongs to customer "17851", but the invoice to customer "17850"`},
		{"a guest", "7,L1,LAMP,2,12/1/2010 8:26,1.5,,Norway", "7", `the line belongs to a guest, but`},
		{"a long field is cut", "7,L1,LAMP," + strings.Repeat("9x", 100) + ",12/1/2010 8:26,1.5,17850,Norway", "7", `9x…" is not a whole number`},
	}
	row := "7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway\n"
	good := lamp(2)
	good.Lines = append(good.Lines, lamp(4).Lines...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := MustRead(t, head+row+tt.line+"\n"+row)
			expect(t, File{Invoices: f.Invoices}, File{Invoices: []Invoice{good}})
			if len(f.Problems) != 1 || f.Problems[0].Line != 3 || f.Problems[0].Invoice != tt.invoice || !strings.Contains(f.Problems[0].Reason, tt.reason) {
				t.Errorf("problems are %+v, want one of line 3, invoice %q: %s", f.Problems, tt.invoice, tt.reason)
			}
		})
	}
}

// TestBadLineOpensNoInvoice: neither the customer nor the place in the order may come from a line that cannot be used.
func TestBadLineOpensNoInvoice(t *testing.T) {
	t.Parallel()
	f := MustRead(t, head+
		"7,L1,LAMP,0,12/1/2010 8:26,1.5,99999,Sweden\n"+
		"8,L1,LAMP,0,12/1/2010 8:26,1.5,17850,Norway\n"+
		"7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway\n")
	expect(t, File{Invoices: f.Invoices}, File{Invoices: []Invoice{lamp(4)}})
	if len(f.Problems) != 2 || f.Problems[0].Line != 2 || f.Problems[1].Line != 3 {
		t.Errorf("problems are %+v, want lines 2 and 3", f.Problems)
	}
}

// TestOpenQuoteHarmsNoLine: a quote that is closed only behind good lines does not take them along.
func TestOpenQuoteHarmsNoLine(t *testing.T) {
	t.Parallel()
	open := "7,L1,\"LAMP,2,12/1/2010 8:26,1.5,17850,Norway\n"
	row := "7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway\n"
	tests := []struct {
		name, text string
		problems   []int
	}{
		{"closed by a stray quote", open + row + "7,L1,LAMP\",2,12/1/2010 8:26,1.5,17850,Norway\n", []int{2, 4}},
		{"closed by another open one", open + row + open, []int{2, 4}},
		{"closed at once, too many fields", "7,L1,\"LAMP\n\",1,2,3,4,5,6,7\n" + row, []int{2, 3}},
		{"never closed", "7,\"\nx\ny\n" + row, []int{2, 3, 4}},
		{"a quoted field follows", open + "7,L1,\"LAMP\",2,12/1/2010 8:26,1.5,17850,Norway\n", []int{2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := MustRead(t, head+tt.text)
			var lines []int
			for _, p := range f.Problems {
				lines = append(lines, p.Line)
			}
			if !reflect.DeepEqual(lines, tt.problems) || len(f.Invoices) != 1 || len(f.Invoices[0].Lines) != 1 {
				t.Errorf("problems in lines %v, want %v; invoices %+v, want one line", lines, tt.problems, f.Invoices)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, says string }{
		{"empty", "", "the file is empty"},
		{"blank", "\uFEFF \n\n", "the file is empty"},
		{"no header", "7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway\n", "lacks the columns InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID"},
		{"columns missing", "InvoiceNo,StockCode,Description,InvoiceDate,UnitPrice,Country\n", "lacks the columns Quantity, CustomerID"},
		{"other separator", strings.ReplaceAll(head, ",", ";"), "lacks the columns InvoiceNo, "},
		{"column twice", "Quantity," + head, "the column Quantity twice"},
		{"header with a broken quote", `"` + head, "the header: a quoted field is not closed"},
		{"binary", "PK\x03\x04\x00\x00\xFF", "lacks the columns"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := Read(strings.NewReader(tt.text))
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error is %v, want ErrFormat that says %q", err, tt.says)
			}
			expect(t, f, File{})
		})
	}
	broken := errors.New("disk on fire")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
		t.Errorf("error of a failing reader is %v, want it wrapped", err)
	}
}

func TestIsCharge(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"POST": true, "DOT": true, "D": true, "M": true, "m": true, "C2": true, "S": true, "B": true, "CRUK": true, "PADS": true,
		"AMAZONFEE": true, "BANK CHARGES": true, "gift_0001_20": true, "GIFT_": true,
		"85123A": false, "22632": false, "DCGSSGIRL": false, "SP1002": false, "POSTAGE": false, "": false,
	} {
		if got := IsCharge(code); got != want {
			t.Errorf("IsCharge(%q) is %t, want %t", code, got, want)
		}
	}
}
