package halves

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// ErrMoved: the journal is not usable. The journal is one half of a move of modules that did not take
// place, or the modules were merged into another journal.
var ErrMoved = errors.New("sqlite: journal is not to be used")

// half is the journal's side of a move. The other journal decides: the move took place if a row there has the same
// id and act. asks is the identity of the other journal before the move; only the row of a half has asks.
type half struct {
	id, act, modules, other, state string
	asks, path                     string
}

const openHalves = `
SELECT id, act, (SELECT group_concat(value, ',') FROM json_each(modules)), other, state, proof ->> '$.asks', coalesce(proof ->> '$.path', '')
FROM moves WHERE proof ->> '$.asks' IS NOT NULL AND (state = 'prepared' OR act = 'merge')`

// Settle settles the open moves of a killed process: Settle asks the other journal of each. The error is nil if the
// journal at path is usable.
func Settle(ctx context.Context, c *sql.Conn, path string) error {
	var halves []half
	err := row.Each(ctx, c, row.SQL(openHalves), func(rows *sql.Rows) error {
		var h half
		err := rows.Scan(&h.id, &h.act, &h.modules, &h.other, &h.state, &h.asks, &h.path)
		halves = append(halves, h)
		return err
	})
	for _, h := range halves {
		if err == nil {
			err = h.settle(ctx, c, path)
		}
	}
	return err
}

func (h half) settle(ctx context.Context, c *sql.Conn, path string) error {
	merged := fmt.Errorf("%w: its modules (%s) were merged into %s: run them there, and remove this file", ErrMoved, h.modules, h.other)
	if h.state == "done" { // of a merge
		return merged
	}
	decided, err := h.decided(ctx, path)
	if err != nil {
		last := fmt.Sprintf("UPDATE moves SET state = 'done' WHERE id = '%s'", h.id)
		if h.act == "merge" {
			last = fmt.Sprintf("DELETE FROM moves WHERE id = '%s'", h.id)
		}
		return fmt.Errorf("%w: whether the %s of %s took place stands in %s (%w): put it back there, or beside this file; "+
			"if it is lost for good, and no other journal has these modules: sqlite3 %s \"%s\"", ErrMoved, h.act, h.modules, h.other, err, path, last)
	}
	switch {
	case h.act == "split" && !decided:
		return fmt.Errorf("%w: it is one half of a split that did not take place, or was undone, and %s still has %s: remove this file; "+
			"to split, repeat the split", ErrMoved, h.other, h.modules)
	case h.act == "merge" && !decided:
		_, err = c.ExecContext(ctx, "DELETE FROM moves WHERE id = ?", h.id)
		return err
	}
	if _, err := c.ExecContext(ctx, "UPDATE moves SET state = 'done' WHERE id = ?", h.id); err != nil {
		return err
	}
	if h.act == "merge" {
		return merged
	}
	return nil
}

// decided asks the other journal whether the move took place. The error is not nil when the other journal is
// missing or has another identity.
func (h half) decided(ctx context.Context, path string) (bool, error) {
	places := []string{h.other}
	if rel, err := filepath.Rel(filepath.Dir(h.path), h.other); err == nil { // both were moved together
		places = append(places, filepath.Join(filepath.Dir(path), rel))
	}
	var trouble error // at the first path
	for _, place := range places {
		decided, err := h.ask(ctx, place)
		if err == nil {
			return decided, nil
		}
		trouble = cmp.Or(trouble, err)
	}
	return false, trouble
}

func (h half) ask(ctx context.Context, place string) (bool, error) {
	db, err := file.OpenExisting(ctx, place, file.ReadDSN(place, file.ReadMode(place)))
	if err != nil {
		return false, err
	}
	defer func() { _ = db.Close() }() // only read
	var identity string
	var act sql.NullString
	err = db.QueryRowContext(ctx, "SELECT id, (SELECT act FROM moves WHERE id = ?) FROM identity", h.id).Scan(&identity, &act)
	switch {
	case err != nil:
		return false, row.Explain(err)
	case !act.Valid && identity != h.asks:
		return false, errors.New("that is another journal")
	default:
		return act.String == h.act, nil
	}
}
