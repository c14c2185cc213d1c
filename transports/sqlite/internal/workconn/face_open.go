package workconn

import (
	"context"
	"database/sql/driver"
	"reflect"

	"github.com/mattn/go-sqlite3"
)

// opened is an open statement or open rows of database/sql on a face. The face's mutex guards all fields.
type opened struct {
	f            *Face // nil after close
	rows         *sqlite3.SQLiteRows
	stmt         *sqlite3.SQLiteStmt
	older, newer *opened
}

// track adds o to the open objects. f.mu is held.
func (f *Face) track(o *opened) {
	o.f, o.older = f, f.open
	if f.open != nil {
		f.open.newer = o
	}
	f.open = o
}

// close closes o once. f.mu is held.
func (o *opened) close() error {
	f := o.f
	if f == nil {
		return nil
	}
	if o.f = nil; o.newer != nil {
		o.newer.older = o.older
	} else {
		f.open = o.older
	}
	if o.older != nil {
		o.older.newer = o.newer
	}
	o.newer, o.older = nil, nil
	if o.rows != nil {
		return o.rows.Close()
	}
	return o.stmt.Close()
}

// rows wraps the rows of a query. f.mu is held.
func (f *Face) rows(rows driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, f.hear(err)
	}
	fr := &faceRows{SQLiteRows: rows.(*sqlite3.SQLiteRows), face: f}
	fr.opened.rows = fr.SQLiteRows
	f.track(&fr.opened)
	return fr, nil
}

// faceRows are rows on a face.
type faceRows struct {
	*sqlite3.SQLiteRows
	opened
	face *Face
}

// Next implements driver.Rows.
func (r *faceRows) Next(dest []driver.Value) error {
	if err := r.face.enterDriver(); err != nil {
		return err
	}
	defer r.face.mu.Unlock()
	if r.f == nil {
		return errOver
	}
	err := r.SQLiteRows.Next(dest)
	r.face.row = err == nil
	return r.face.hear(err)
}

// Columns implements driver.Rows. The end of the work may have closed the rows.
func (r *faceRows) Columns() []string {
	r.face.mu.Lock()
	defer r.face.mu.Unlock()
	return r.SQLiteRows.Columns()
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *faceRows) ColumnTypeDatabaseTypeName(i int) string {
	r.face.mu.Lock()
	defer r.face.mu.Unlock()
	if r.f == nil {
		return ""
	}
	return r.SQLiteRows.ColumnTypeDatabaseTypeName(i)
}

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *faceRows) ColumnTypeScanType(i int) reflect.Type {
	r.face.mu.Lock()
	defer r.face.mu.Unlock()
	if r.f == nil {
		return reflect.TypeFor[any]()
	}
	return r.SQLiteRows.ColumnTypeScanType(i)
}

// Close implements driver.Rows.
func (r *faceRows) Close() error {
	r.face.mu.Lock()
	defer r.face.mu.Unlock()
	return r.face.hear(r.close())
}

// faceStmt is a prepared statement on a face.
type faceStmt struct {
	*sqlite3.SQLiteStmt
	opened
	face *Face
}

// NumInput implements driver.Stmt.
func (s *faceStmt) NumInput() int {
	s.face.mu.Lock()
	defer s.face.mu.Unlock()
	if s.f == nil {
		return -1 // unknown: the next call returns the error
	}
	return s.SQLiteStmt.NumInput()
}

// ExecContext implements driver.StmtExecContext.
func (s *faceStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.face.enterStatement(); err != nil {
		return nil, err
	}
	defer s.face.mu.Unlock()
	if s.f == nil {
		return nil, errOver
	}
	res, err := s.SQLiteStmt.ExecContext(ctx, args)
	return res, s.face.hear(err)
}

// QueryContext implements driver.StmtQueryContext.
func (s *faceStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.face.enterStatement(); err != nil {
		return nil, err
	}
	defer s.face.mu.Unlock()
	if s.f == nil {
		return nil, errOver
	}
	rows, err := s.SQLiteStmt.QueryContext(ctx, args)
	return s.face.rows(rows, err)
}

// Close implements driver.Stmt.
func (s *faceStmt) Close() error {
	s.face.mu.Lock()
	defer s.face.mu.Unlock()
	return s.face.hear(s.close())
}
