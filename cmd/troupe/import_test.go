package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/internal/shop/retail"
	"github.com/troupebus/troupe/transports/sqlite"
)

const csvHeader = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"

// MustWriteCSV writes lines of "invoice,code,quantity,price" as a file of the data set's form.
func MustWriteCSV(tb testing.TB, lines ...string) string {
	tb.Helper()
	var text strings.Builder
	text.WriteString(csvHeader)
	for _, l := range lines {
		f := strings.Split(l, ",")
		fmt.Fprintf(&text, "%s,%s,A THING,%s,12/1/2010 8:26,%s,17850,United Kingdom\n", f[0], f[1], f[2], f[3])
	}
	path := filepath.Join(tb.TempDir(), "invoices.csv")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

// MustReadOrders returns the status of every order in the journal at path.
func MustReadOrders(tb testing.TB, path string) map[string]order.Status {
	tb.Helper()
	all := map[string]order.Status{}
	MustView(tb, path, func(tx *sql.Tx) error {
		return order.Each(tb.Context(), tx, func(f order.Fact) error { all[f.OrderID] = f.Status; return nil })
	})
	return all
}

// MustView reads the journal at path.
func MustView(tb testing.TB, path string, fn func(*sql.Tx) error) {
	tb.Helper()
	r, err := sqlite.OpenReader(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := r.View(tb.Context(), fn); err != nil {
		tb.Fatal(err)
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	csv := MustWriteCSV(t,
		"1001,A,2,1.50", "1001,BB,1,10.00", "1001,POST,1,3.00", // an order over 16.00
		"1002,A,9,1.50",                       // short: of 10 pieces 2 are gone
		"C1003,A,-1,1.50",                     // one comes back
		"1004,A,9,1.50",                       // and suffices
		"1005,BB,-1,1.00",                     // unusable, and nothing is left of its invoice
		"1006,BB,nine,1.00", "1006,BB,1,1.00", // unusable, but the invoice goes on
		"1007,BB,2000000,0.01", "1007,BB,2,1.00", // more than a line may have
		"1008,BB,1,1.00", "1008,D,-1,2.00", // below zero
		"1009,BB,1000001,0.01",      // nothing left by the shop's limits
		"C1010,POST,-1,5.00",        // money back without goods
		"1011,UNSEEN,10,1.00",       // the last piece
		"1012,unseen,1,1.00",        // another code
		"1013,BB,1,0.00",            // free
		"1014,BANK CHARGES,1,15.00", // no goods at all
	)
	path := filepath.Join(t.TempDir(), "shop.db")
	rep := MustReport(t, "import", csv, "--stock", "10", "--journal", path)
	want := map[string]order.Status{
		"inv-1001": order.StatusCompleted, "inv-1002": order.StatusCancelled, "inv-C1003": order.StatusReturned, "inv-1004": order.StatusCompleted,
		"inv-1006": order.StatusCompleted, "inv-1007": order.StatusCompleted, "inv-C1010": order.StatusReturned, "inv-1011": order.StatusCompleted,
		"inv-1012": order.StatusCompleted, "inv-1013": order.StatusCompleted, "inv-1014": order.StatusCompleted,
	}
	if got := MustReadOrders(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("orders: %v, want %v", got, want)
	}
	i := rep.Import
	if i.Orders != 9 || i.Credits != 2 || i.StockCodes != 4 || rep.Placed != 11 {
		t.Errorf("%d orders, %d credit notes, %d stock codes, %d placed; want 9, 2, 4, 11", i.Orders, i.Credits, i.StockCodes, rep.Placed)
	}
	wantProblems(t, "lines", i.Problems, "8 1005 below zero", "9 1006 nine", "11 1007 above 1000000", "15 1009 above 1000000")
	wantProblems(t, "invoices", i.Refused, "8 1005 no line is usable", "13 1008 below zero", "15 1009 no line is usable")

	again := MustReport(t, "import", csv, "--stock", "99", "--journal", path)
	if !reflect.DeepEqual(totals(again), totals(rep)) || !reflect.DeepEqual(again.Import, rep.Import) || again.Placed != 0 {
		t.Errorf("first %+v %+v\nagain %+v %+v", rep, rep.Import, again, again.Import)
	}
	MustView(t, path, func(tx *sql.Tx) error {
		s, err := inventory.Get(t.Context(), tx, "A")
		if want := (inventory.Stock{SKU: "A", Initial: 10, OnHand: 0, Shipped: 11, Returned: 1}); s != want {
			t.Errorf("stock %+v, want %+v", s, want)
		}
		return err
	})
}

// wantProblems compares with "line invoice part-of-the-reason".
func wantProblems(tb testing.TB, what string, got []problem, want ...string) {
	tb.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		var line int
		var number string
		if _, err := fmt.Sscan(want[i], &line, &number); err != nil {
			tb.Fatal(err)
		}
		reason := strings.SplitN(want[i], " ", 3)[2]
		ok = got[i].Line == line && got[i].Invoice == number && strings.Contains(got[i].Reason, reason)
	}
	if !ok {
		tb.Errorf("%s: %+v, want %q", what, got, want)
	}
}

func TestImportText(t *testing.T) {
	t.Parallel()
	var lines []string
	for n := range 25 {
		lines = append(lines, fmt.Sprintf("%d,A,0,1.00", 2000+n))
	}
	csv := MustWriteCSV(t, append(lines, "3000,A,1,1.00", "3001,A,500,1.00")...)
	ran := MustRunCommand(t, "import", csv, "--journal", filepath.Join(t.TempDir(), "shop.db"))
	if ran.err != nil {
		t.Fatal(ran.err)
	}
	for _, want := range []string{
		csv + ": 2 orders and 0 credit notes, 1 stock codes", "25 unusable lines:\n  line 2, invoice 2000: ",
		"  and 5 more: --json lists them all", "25 invoices not imported:", "2 orders: 1 completed, 1 cancelled, 0 returned",
		"inventory.short", "troupe trace inv-3000 --journal ", "Verified: ",
	} {
		if !strings.Contains(ran.stdout, want) {
			t.Errorf("there is no %q in\n%s", want, ran.stdout)
		}
	}
}

func TestImportIsFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	var lines []string
	want := map[string]order.Status{}
	for n := range 60 { // 15 articles of 10 pieces; 4 orders want 4 of each, and the last two of them are too late
		lines = append(lines, fmt.Sprintf("%d,SKU%d,4,1.00", 1000+n, n%15))
		want[fmt.Sprintf("inv-%d", 1000+n)] = order.StatusCompleted
		if n >= 30 {
			want[fmt.Sprintf("inv-%d", 1000+n)] = order.StatusCancelled
		}
	}
	path := filepath.Join(t.TempDir(), "shop.db")
	MustReport(t, "import", MustWriteCSV(t, lines...), "--stock", "10", "--journal", path)
	if got := MustReadOrders(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("orders: %v, want %v", got, want)
	}
}

func TestImportOfAChangedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	MustReport(t, "import", MustWriteCSV(t, "1001,A,1,1.00", "1002,A,1,1.00"), "--journal", path)
	rep := MustReport(t, "import", MustWriteCSV(t, "1001,A,2,1.00", "1002,A,1,1.00", "1003,A,1,1.00"), "--journal", path)
	if rep.Orders != 3 || rep.Placed != 1 {
		t.Errorf("%d orders, %d placed; want 3, 1", rep.Orders, rep.Placed)
	}
	wantProblems(t, "invoices", rep.Import.Refused, "2 1001 with other content")
}

func TestImportStoppedGoesOn(t *testing.T) {
	t.Parallel()
	var lines []string
	for n := range 600 { // long enough to be stopped half-way
		lines = append(lines, fmt.Sprintf("%d,A,1,1.00", 1000+n))
	}
	csv, path := MustWriteCSV(t, lines...), filepath.Join(t.TempDir(), "shop.db")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := make(chan struct{})
	go func() {
		defer close(began)
		MustBegin(t, worldPath(path))
		cancel()
	}()
	ran := MustRunCommandIn(t, ctx, "import", csv, "--journal", path)
	<-began
	if ran.err == nil || !strings.Contains(ran.err.Error(), "run the same command again") {
		t.Fatalf("stopped with %v", ran.err)
	}
	rep := MustReport(t, "import", csv, "--journal", path)
	if rep.Orders != 600 || rep.EndStates["completed"] != 100 || rep.EndStates["cancelled"] != 500 {
		t.Errorf("reports %+v", rep)
	}
	ends := MustReadOrders(t, path)
	for n := range 600 {
		id, want := fmt.Sprintf("inv-%d", 1000+n), order.StatusCompleted
		if n >= 100 {
			want = order.StatusCancelled
		}
		if ends[id] != want {
			t.Errorf("%s is %s, want %s", id, ends[id], want)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.csv")
	if err := os.WriteFile(text, []byte("dear diary,\ntoday\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	good := MustWriteCSV(t, "1001,A,1,1.00")
	useless := MustWriteCSV(t, "1001,A,nine,1.00", "1002,A,1,1.00", "1002,D,-2,1.00")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "want one CSV file"},
		{[]string{good, good}, "want one CSV file"},
		{[]string{good, "--stock", "-1"}, "--stock is -1"},
		{[]string{filepath.Join(dir, "missing.csv")}, "no such file"},
		{[]string{dir}, "is a directory"},
		{[]string{text}, "lacks the columns"},
		{[]string{good, "--stock", "1000000001"}, "from 0 to 1000000000"},
		{[]string{useless}, `no invoice is usable: line 2: the quantity "nine"`},
		{[]string{MustWriteCSV(t)}, "the file has no invoice"},
	} {
		path := filepath.Join(dir, "shop.db")
		ran := MustRunCommand(t, "import", append(c.args, "--journal", path)...)
		if ran.err == nil || exitCode(ran.err) != exitUsage || !strings.Contains(ran.err.Error(), c.want) {
			t.Errorf("import %v: code %d, %v; want code %d and %q", c.args, exitCode(ran.err), ran.err, exitUsage, c.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Fatalf("import %v created a journal", c.args)
		}
	}
}

// The line ends of a file do not matter, and names follow the rule of the API.
func TestImportOfOtherForms(t *testing.T) {
	t.Parallel()
	good := MustWriteCSV(t, "1001,A,1,1.00", "1001,POST,1,3.00", "1002,A,2,1.00")
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"\r", "\r\n"} {
		file := filepath.Join(t.TempDir(), "invoices.csv")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "\n", end)), 0o600); err != nil {
			t.Fatal(err)
		}
		rep := MustReport(t, "import", file, "--journal", filepath.Join(t.TempDir(), "shop.db"))
		if rep.Import.Orders != 2 || rep.Placed != 2 || len(rep.Import.Problems) != 0 {
			t.Errorf("lines that end with %q: %+v", end, rep.Import)
		}
	}
	file := MustWriteCSV(t, "1001,A,1,1.00", "1001,"+strings.Repeat("A", order.MaxName+1)+",1,1.00", "1001,A\x00B,1,1.00", "1001,A\x1b[31m,1,1.00",
		"1001,A\u202eB,1,1.00", "1001,gift_\u200b,1,1.00", "100\u200b2,A,1,1.00")
	i := MustReport(t, "import", file, "--journal", filepath.Join(t.TempDir(), "shop.db")).Import
	wantProblems(t, "lines", i.Problems, "3 1001 65 characters: at most 64", "4 1001 U+0000", "5 1001 U+001B", "6 1001 U+202E", "7 1001 U+200B")
	wantProblems(t, "invoices", i.Refused, "8 100\u200b2 the id must not have invisible characters")
}

func TestImporterHoldsToTheLimitsOfOrders(t *testing.T) {
	t.Parallel()
	long := retail.Invoice{Number: "1"}
	for n := range order.MaxLines + 1 {
		long.Lines = append(long.Lines, retail.Line{SKU: "A", Quantity: 1, LineNo: n + 2})
	}
	fits := long
	fits.Number, fits.Lines = "2", long.Lines[:order.MaxLines]
	f := retail.File{
		Invoices: []retail.Invoice{long, fits},
		Problems: []retail.Problem{{Line: 3000, Invoice: "", Reason: "1 fields where the header has 8"}, {Line: 3001, Invoice: "1", Reason: "no"}},
	}
	i := newImporter("f.csv", math.MaxInt32, f)
	if len(i.invoices) != 1 || i.invoices[0].ID != "inv-2" || len(i.stock) != 1 || i.stock[0].Quantity != math.MaxInt32 {
		t.Errorf("%d invoices, stock %+v", len(i.invoices), i.stock)
	}
	wantProblems(t, "invoices", i.Refused, "2 1 2001 lines and 0 charges: an order has at most 2000")
	if len(i.Problems) != 2 {
		t.Errorf("lines: %+v", i.Problems)
	}
	if b, err := json.Marshal(newImporter("", 0, retail.File{}).imported); err != nil || strings.Contains(string(b), "null") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestImportOfTheDataSet(t *testing.T) {
	t.Parallel()
	csv, err := filepath.Abs("../../../shared/data/online-retail-2010-12-01.csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(csv); err != nil {
		t.Skipf("the data set's sample is not there: %v", err)
	}
	dir := t.TempDir()
	var ends []map[string]order.Status
	for _, name := range []string{"a.db", "b.db"} {
		path := filepath.Join(dir, name)
		rep := MustReport(t, "import", csv, "--stock", "30", "--journal", path)
		if rep.Orders != 106 || rep.Import.Credits != 6 || rep.EndStates["returned"] != 6 || len(rep.Import.Problems)+len(rep.Import.Refused) != 0 {
			t.Errorf("reports %+v, %+v", rep, rep.Import)
		}
		ends = append(ends, MustReadOrders(t, path))
	}
	if !reflect.DeepEqual(ends[0], ends[1]) {
		t.Error("the same file and stock ended differently")
	}
}

// TestLatencyOfDemoAndImport passes a latency that the simulated gateway refuses: these commands have worlds of their own.
func TestLatencyOfDemoAndImport(t *testing.T) {
	t.Parallel()
	csv := MustWriteCSV(t, "536365,85123A,6,2.55")
	for command, args := range map[string][]string{"demo": nil, "import": {csv}} {
		args = append(args, "--latency", "-1s", "--journal", filepath.Join(t.TempDir(), "shop.db"))
		wantOutput(t, MustRunCommand(t, command, args...), 1, "Latency is -1s, must not be below 0")
	}
}
