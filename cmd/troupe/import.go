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
	var i *importer
	return troupe.Command[doors]{
		Name: "import", Args: "FILE.csv",
		Short: "Run the invoices of an Online Retail CSV through the shop and audit what came of them",
		Long: `Run the invoices of a CSV in the form of the Online Retail data set through the shop and audit what came of them.

Each invoice becomes an order, inv-536365, and each invoice whose number begins with C a credit note. Before the first of
them, --stock pieces of every stock code are received. Goods are set aside in the order of the file, first come first served, so
the same file and the same --stock always end the same way. A line that cannot be used is reported by its number, with the
reason, and nothing else suffers. Importing a file again changes nothing.

The columns are InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice and CustomerID, in any order; others are ignored. Lines
may end with LF, CRLF or CR.`,
		Example: `  troupe import online-retail.csv
  troupe import online-retail.csv --stock 20 --journal scarce.db
  troupe import online-retail.csv --json | jq .import.problems`,
		Flags: func(f *flag.FlagSet) {
			f.Int64Var(&pieces, "stock", 100, "how many pieces there are of each stock code that the journal does not know")
		},
		Check: func(args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("there are %d arguments: name one CSV file", len(args))
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
			s.options = &sim.Options{}
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

// readInvoices reads the file at path. Its errors say what to name instead.
func readInvoices(path string) (retail.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return retail.File{}, fmt.Errorf("%w: name a CSV file that can be read", err)
	}
	defer func() { _ = f.Close() }() // it was only read
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
