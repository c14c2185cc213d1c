package schema

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// The names of tables tell modules apart: a split moves tables by their prefix, and tests watch them. So a migration
// may create, change and drop only the module's tables, and their indexes and triggers.

// selectOthers selects the schema except the tables of module ? and their indexes and triggers, with the SQL texts.
const selectOthers = `
SELECT type || ' ' || name, tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema
WHERE substr(lower(tbl_name), 1, length(?1)) <> ?1 AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`

// others returns the SQL texts that m may not change, by kind and name. Migrations of the journal itself may change
// all.
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

// stays returns an error when m has created, changed or dropped another module's object. before is the result of others
// before m ran.
func (m migration) stays(ctx context.Context, tx *sql.Tx, before map[string]string) error {
	now, err := m.others(ctx, tx)
	if err != nil {
		return err
	}
	for _, what := range slices.Sorted(maps.Keys(now)) {
		if was, known := before[what]; !known {
			return fmt.Errorf("it makes %s, which belongs to no module: the name of each table and view begins with %s_, so that tests and moves "+
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

// Tables are the names of the journal's tables. A temporary table of the same name would hide the journal's table on
// the connection.
var Tables = map[string]bool{
	"events": true, "subscriptions": true, "deliveries": true, "pending": true, "dead_letters": true, "acts": true,
	"delayed": true, "cancelled": true, "schedules": true, "requests": true, "identity": true, "records": true, "moves": true, "observer": true, "early_records": true,
	"open_acts": true, "keys": true, "blocks": true, "counted": true, "causes": true, "places": true, "sent": true, "program": true, "migrations": true, "type_starts": true, "sqlite_sequence": true,
}
