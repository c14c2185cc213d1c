package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/internal/shop/retail"
)

// importParallel is how many calls to the gateway and the carrier an import makes at a time.
const importParallel = 16

type importConfig struct {
	file    string
	stock   int64
	journal string
}

func newImportCmd(o *options) *cobra.Command {
	var c importConfig
	cmd := &cobra.Command{
		Use:   "import FILE.csv",
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
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.file = args[0]
			return runImport(cmd.Context(), o, c)
		},
	}
	cmd.Flags().Int64Var(&c.stock, "stock", 100, "how many pieces there are of each stock code that the journal does not know")
	cmd.Flags().StringVar(&c.journal, "journal", defaultJournal, "the journal's file; it is created, or gone on with")
	return cmd
}

func runImport(ctx context.Context, o *options, c importConfig) error {
	if c.stock < 0 || c.stock > inventory.MaxDelivery {
		return usageErrorf("import: --stock is %d: want a number from 0 to %d", c.stock, inventory.MaxDelivery)
	}
	f, err := readInvoices(c.file)
	if err != nil {
		return usageErrorf("import: %w", err)
	}
	i := newImporter(c, f)
	if len(i.invoices) == 0 {
		return usageErrorf("import: %s: %s", c.file, i.useless())
	}
	r := shopRun{
		options: o, path: c.journal,
		config: shopConfig{journal: c.journal, parallel: importParallel},
		work:   i.work, done: i.done,
	}
	rep, err := r.do(ctx)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	rep.Import = &i.imported
	return rep.show(o)
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
