package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/internal/shop/retail"
	"github.com/troupebus/troupe/internal/shop/sim"
)

func (s *shop) importCommand() troupe.Command[doors] {
	var pieces int64
	var options sim.Options // no call fails
	var i *importer
	return troupe.Command[doors]{
		Name: "import", Args: "FILE.csv",
		Short: "Run the invoices of an Online Retail CSV through the shop and audit the results",
		Long: `Run the invoices of a CSV in the form of the Online Retail data set through the shop and audit the results.

Each invoice becomes an order, such as inv-536365, and each invoice with a number that begins with C becomes a credit note.
The import first receives --stock pieces of every stock code. Goods are reserved in the order of the file, so the same file
and the same --stock always give the same result. An unusable line is reported with its number and the reason; all other
lines are imported. A second import of the same file changes nothing.

The columns are InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice and CustomerID, in any order; other columns are
ignored. Lines may end with LF, CRLF or CR.`,
		Example: `  troupe import online-retail.csv
  troupe import online-retail.csv --stock 20 --journal scarce.db
  troupe import online-retail.csv --json | jq .import.problems`,
		Flags: func(f *flag.FlagSet) {
			f.Int64Var(&pieces, "stock", 100, "pieces to receive of each stock code that is new to the journal")
			f.Uint64Var(&options.Seed, "seed", 1, "seed for the times of the calls to the gateway and the carrier")
			f.DurationVar(&options.Latency, "latency", 0, "average time of a call to the gateway or the carrier")
		},
		Check: func(args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want one CSV file, got %d arguments", len(args))
			}
			if pieces < 0 || pieces > inventory.MaxDelivery {
				return fmt.Errorf("--stock is %d: want a number from 0 to %d", pieces, inventory.MaxDelivery)
			}
			f, err := readInvoices(args[0])
			if err != nil {
				return err
			}
			if i = newImporter(args[0], pieces, f); len(i.invoices) == 0 {
				return fmt.Errorf("%s: %s", args[0], i.useless())
			}
			s.options = &options
			return nil
		},
		Run: func(ctx context.Context, call *troupe.Call[doors]) error {
			rep, err := shopRun{call: call, work: i.work, done: i.done}.do(ctx)
			if err != nil {
				return err
			}
			rep.Import = &i.imported
			return rep.show(call)
		},
	}
}

// readInvoices reads the file at path. The errors say which file to name instead.
func readInvoices(path string) (retail.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return retail.File{}, fmt.Errorf("%w: name a CSV file that can be read", err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return retail.File{}, err
	}
	if info.IsDir() {
		return retail.File{}, fmt.Errorf("%s is a directory: name a CSV file in it", path)
	}
	file, err := retail.Read(f)
	if errors.Is(err, retail.ErrFormat) {
		err = fmt.Errorf("%s: %w: troupe help import lists the columns", path, err)
	}
	return file, err
}
