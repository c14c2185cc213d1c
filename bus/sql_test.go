package bus_test

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"testing"

	"github.com/troupebus/troupe/bus"
)

// The interfaces by which libraries take a transaction.
type (
	dbtx interface { // sqlc 1.31, internal/codegen/golang/templates/stdlib/dbCode.tmpl
		ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
		PrepareContext(context.Context, string) (*sql.Stmt, error)
		QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
		QueryRowContext(context.Context, string, ...interface{}) *sql.Row
	}
	execQuerier interface { // ent 0.14, dialect/sql/driver.go
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
	iConn interface { // bun 1.3, query_base.go
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
)

var (
	_ dbtx        = bus.SQL(nil)
	_ execQuerier = bus.SQL(nil)
	_ iConn       = bus.SQL(nil)
	_ bus.SQL     = (*sql.Tx)(nil)
)

// A transaction cannot be ended by hand, and is a *sql.Tx for a library that insists.
func TestSQL(t *testing.T) {
	t.Parallel()
	offers := reflect.TypeFor[bus.SQL]()
	for _, name := range []string{"Commit", "Rollback"} {
		if _, ok := offers.MethodByName(name); ok {
			t.Errorf("SQL offers %s", name)
		}
	}
	a := MustRun(t, bus.Config{}, func(*bus.Module) {})
	is := func(tx bus.SQL) error {
		if _, ok := tx.(*sql.Tx); !ok {
			return errors.New("another type")
		}
		return nil
	}
	_, err := a.m.Do(t.Context(), func(ctx context.Context) (bus.Events, error) { return nil, is(bus.Tx(ctx)) })
	if err := errors.Join(err, a.View(t.Context(), is)); err != nil {
		t.Error(err)
	}
}

// The entries of Events cannot be reached, since some are none of the caller's events.
func TestEventsAreOpaque(t *testing.T) {
	t.Parallel()
	if of := reflect.TypeFor[bus.Events]().Elem(); of.PkgPath() == "" || of.Name() == "Event" || of.NumField() != 2 || of.Field(0).IsExported() || of.Field(1).IsExported() {
		t.Errorf("Events has entries of type %v: want a type without exported fields", of)
	}
	var none bus.Events = nil
	a := MustRun(t, bus.Config{}, func(*bus.Module) {})
	none = none.Also(func(context.Context) error { return nil })
	if flow, err := a.m.Do(t.Context(), func(context.Context) (bus.Events, error) { return append(none, none...), nil }); flow != "" || err != nil {
		t.Errorf("nil events: %q, %v", flow, err)
	}
}
