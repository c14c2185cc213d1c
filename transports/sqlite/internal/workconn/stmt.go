package workconn

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// Stmt is a prepared statement on the write connection, beneath database/sql, at a third of the cost
// (docs/decisions/0002). Only the writer's goroutine may use it.
type Stmt struct {
	s    *sqlite3.SQLiteStmt
	args []driver.NamedValue
}

// Prepare prepares statements, which Close closes.
func (c *Conn) Prepare(queries map[**Stmt]string) error {
	for into, query := range queries {
		s, err := c.raw.Prepare(query)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", query, err)
		}
		st := &Stmt{s: s.(*sqlite3.SQLiteStmt)}
		st.args = make([]driver.NamedValue, s.NumInput())
		for i := range st.args {
			st.args[i].Ordinal = i + 1
		}
		*into = st
		c.all = append(c.all, st)
	}
	return nil
}

// Exec binds args (int64, string, []byte, or nil) and returns the rows changed and the last rowid.
func (s *Stmt) Exec(args ...any) (changed, rowid int64, err error) {
	for i, a := range args {
		s.args[i].Value = a
	}
	res, err := s.s.ExecContext(context.Background(), s.args[:len(args)])
	if err != nil {
		return 0, 0, err
	}
	changed, _ = res.RowsAffected() // neither call of the driver's result can fail
	rowid, _ = res.LastInsertId()
	return changed, rowid, nil
}

// Int64 runs a statement that returns one number.
func (s *Stmt) Int64() (int64, error) {
	rows, err := s.s.QueryContext(context.Background(), nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	dest := make([]driver.Value, 1)
	if err := rows.Next(dest); err != nil {
		return 0, err
	}
	n, _ := dest[0].(int64)
	return n, nil
}
