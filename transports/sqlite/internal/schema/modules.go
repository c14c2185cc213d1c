package schema

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Modules returns the sorted names of the modules with tables in a journal. tx is a transaction of View.
func Modules(ctx context.Context, tx *sql.Tx) (modules []string, err error) {
	const query = "SELECT DISTINCT module FROM migrations WHERE module <> 'journal' ORDER BY module"
	err = row.Each(ctx, tx, row.Statement{Text: query}, func(rows *sql.Rows) error {
		var module string
		err := rows.Scan(&module)
		modules = append(modules, module)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the modules with tables: %w", row.Explain(err))
	}
	return modules, nil
}
