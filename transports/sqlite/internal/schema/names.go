package schema

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Modules are told apart by the names of their tables: a journal is split by them, and tests watch them. So a
// migration may only make, change and drop what stands on tables of its module.

// selectOthers is everything in the schema that does not stand on a table of module ?, with the text that made it.
const selectOthers = `
SELECT type || ' ' || name, tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema
WHERE substr(lower(tbl_name), 1, length(?1)) <> ?1 AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`

// others returns what is not m's module's to change, by kind and name. The journal itself may change everything.
func (m migration) others(ctx context.Context, tx *sql.Tx) (map[string]string, error) {
	all := map[string]string{}
	if m.module == Journal {
		return all, nil
	}
	err := row.Each(ctx, tx, row.SQL(selectOthers, m.module+"_"), func(rows *sql.Rows) error {
		var what, text string
		err := rows.Scan(&what, &text)
		all[what] = text
		return err
	})
	return all, err
}

// stays is an error when m has made, changed or dropped what is not its module's. before is what there was.
func (m migration) stays(ctx context.Context, tx *sql.Tx, before map[string]string) error {
	now, err := m.others(ctx, tx)
	if err != nil {
		return err
	}
	for _, what := range slices.Sorted(maps.Keys(now)) {
		if was, known := before[what]; !known {
			return fmt.Errorf("it makes %s, which is nobody's: the name of each table and view begins with %s_, so that tests and moves "+
				"know whose it is, and an index or trigger is on such a table", what, m.module)
		} else if was != now[what] {
			return fmt.Errorf("it changes %s, which is not of module %s: leave that to the module it belongs to", what, m.module)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(before)) {
		if _, there := now[what]; !there {
			return fmt.Errorf("it drops %s, which is not of module %s: leave that to the module it belongs to", what, m.module)
		}
	}
	return nil
}
