package retail

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sample is the real file, beside the root of the repository.
var sample = filepath.Join("..", "..", "..", "..", "shared", "data", "online-retail-2010-12-01.csv")

func TestReadRealFile(t *testing.T) {
	t.Parallel()
	in, err := os.Open(sample)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the sample of the Online Retail data set is not there: %s", sample)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	f, err := Read(in)
	if err != nil {
		t.Fatal(err)
	}

	type counts struct{ invoices, credits, lines, charges, problems, guests, skus int }
	got := counts{invoices: len(f.Invoices), problems: len(f.Problems)}
	skus := map[string]bool{}
	byNumber := map[string]Invoice{}
	for _, inv := range f.Invoices {
		byNumber[inv.Number] = inv
		got.lines += len(inv.Lines)
		got.charges += len(inv.Charges)
		if inv.Credit {
			got.credits++
		}
		if inv.CustomerID == "" {
			got.guests += len(inv.Lines) + len(inv.Charges)
		}
		for _, l := range inv.Lines {
			skus[l.SKU] = true
		}
	}
	got.skus = len(skus)
	want := counts{invoices: 106, credits: 6, lines: 2125 - 6, charges: 6, guests: 539, skus: 1089 - 4}
	if got != want {
		t.Errorf("counted %+v, want %+v; problems %v", got, want, f.Problems)
	}
	if c := byNumber["C536379"]; len(c.Lines) != 0 || !reflect.DeepEqual(c.Charges, []Charge{{"D", 2750, 143}}) {
		t.Errorf("C536379 is %+v, want a discount of 27.50 given back", c)
	}
	if c := byNumber["536370"].Charges; !reflect.DeepEqual(c, []Charge{{"POST", 5400, 47}}) {
		t.Errorf("charges of 536370 are %+v, want 54.00 of postage", c)
	}
	if total := byNumber["536365"].Total(); total != 13912 {
		t.Errorf("total of 536365 is %d cents, want 13912", total)
	}
}

// FuzzRead holds what Read promises of any input: it does not panic, every line with data is in one place, and all
// amounts are in range.
func FuzzRead(f *testing.F) {
	f.Add(head + "7,L1,LAMP,2,12/1/2010 8:26,1.5,17850,Norway\nC7,D,\"off\n\",-1,12/1/2010 8:26,1,17850,Norway\n")
	f.Add(head + "7,L1,\"LAMP,2,12/1/2010 8:26,1.5,17850,Norway\n7,L1,\"LA\"\"MP\nRED\",2,12/1/2010 8:26,1.5,17850,Norway\r\n\"\"\"\n")
	f.Add("\uFEFFInvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID\n7,M,-1000000000000,12/1/2010 8:26,1,\xA3\n8,x,1,12/1/2010 8:26,.01,\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Read(strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("error is %v, want ErrFormat", err)
			}
			return
		}
		at := checkInvoices(t, file)
		last := 0
		for _, p := range file.Problems {
			if p.Line <= last || p.Reason == "" || at[p.Line] {
				t.Fatalf("%+v follows a problem of line %d, has no reason or is in an invoice as well", p, last)
			}
			last = p.Line
			at[p.Line] = true
		}
		checkComplete(t, physicalLines(text), at)
	})
}

// checkInvoices returns the line numbers of what is in invoices.
func checkInvoices(t *testing.T, file File) map[int]bool {
	at := map[int]bool{}
	numbers := map[string]bool{}
	take := func(line int) {
		if at[line] {
			t.Fatalf("line %d is there twice", line)
		}
		at[line] = true
	}
	for _, inv := range file.Invoices {
		if inv.Number == "" || numbers[inv.Number] || len(inv.Lines)+len(inv.Charges) == 0 || inv.Time.IsZero() {
			t.Fatalf("%+v has no number, no content or no time, or is there twice", inv)
		}
		numbers[inv.Number] = true
		if total := inv.Total(); abs(total) > MaxAmount {
			t.Fatalf("total of %q is %d", inv.Number, total)
		}
		for _, l := range inv.Lines {
			take(l.LineNo)
			if l.SKU == "" || IsCharge(l.SKU) || l.Quantity <= 0 || l.Quantity > MaxAmount || l.UnitPrice < 0 || l.UnitPrice > MaxAmount {
				t.Fatalf("%+v is out of range", l)
			}
		}
		for _, c := range inv.Charges {
			take(c.LineNo)
			if !IsCharge(c.Code) || abs(c.Amount) > MaxAmount {
				t.Fatalf("%+v is out of range", c)
			}
		}
	}
	return at
}

// checkComplete wants every line that is in no place to be blank or within a record that encoding/csv, which knows
// nothing of this package, reads as one.
func checkComplete(t *testing.T, lines []string, at map[int]bool) {
	header := slices.IndexFunc(lines, func(l string) bool { return !isBlank(l) })
	for i := header + 1; i < len(lines); {
		if !at[i+1] {
			if !isBlank(lines[i]) {
				t.Fatalf("line %d is lost: %q", i+1, lines[i])
			}
			i++
			continue
		}
		end := i + 1
		if _, err := split(lines[i]); errors.Is(err, errOpenQuote) {
			for end < len(lines) && !at[end+1] {
				end++
			}
			end = recordEnd(lines, i, end)
		}
		i = end
	}
}

// recordEnd returns where the record that begins at line i ends, if it ends before limit, and else the line after i.
func recordEnd(lines []string, i, limit int) int {
	for end := i + 2; end <= limit; end++ {
		r := csv.NewReader(strings.NewReader(strings.Join(lines[i:end], "\n")))
		if all, err := r.ReadAll(); err == nil && len(all) == 1 {
			return end
		}
	}
	return i + 1
}
