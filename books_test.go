//troupe:allow rollback the mistakes of the test

package troupe_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// booksMistakes are mistakes in Verify, with the text of the error.
var booksMistakes = map[string]struct {
	verify func(ctx context.Context, tables func(string) bus.SQL) ([]string, error)
	want   string
}{
	"Commit": {func(_ context.Context, tables func(string) bus.SQL) ([]string, error) {
		return nil, tables("reminders").(*sql.Tx).Commit()
	}, "app clinic: Verify committed or rolled back the transaction of the tables"},
	"Rollback": {func(_ context.Context, tables func(string) bus.SQL) ([]string, error) {
		return nil, tables("reminders").(*sql.Tx).Rollback()
	}, "app clinic: Verify committed or rolled back the transaction of the tables"},
	"ROLLBACK": {func(ctx context.Context, tables func(string) bus.SQL) ([]string, error) {
		_, err := tables("reminders").ExecContext(ctx, "ROLLBACK")
		return nil, err
	}, "sqlite: the transaction belongs to the view, and begins and ends with it: leave the statement out: ROLLBACK"},
	"COMMIT and BEGIN": {func(ctx context.Context, tables func(string) bus.SQL) ([]string, error) {
		_, err := tables("reminders").ExecContext(ctx, "COMMIT; BEGIN")
		return nil, err
	}, "sqlite: the transaction belongs to the view, and begins and ends with it: leave the statement out: COMMIT"},
	"read after Commit": {func(ctx context.Context, tables func(string) bus.SQL) ([]string, error) {
		tx := tables("reminders")
		_ = tx.(*sql.Tx).Commit() // the mistake
		_, err := tx.ExecContext(ctx, "SELECT 1")
		return nil, err
	}, "app clinic: Verify committed or rolled back the transaction of the tables"},
	"unknown module": {func(ctx context.Context, tables func(string) bus.SQL) (wrong []string, err error) {
		var n int
		return nil, tables("reminder").QueryRowContext(ctx, "SELECT count(*) FROM reminders_letters").Scan(&n)
	}, `app clinic: Verify asks for the tables of "reminder", which is no module: there are appointments, reminders`},
	"unknown module, error ignored": {func(ctx context.Context, tables func(string) bus.SQL) (wrong []string, err error) {
		var n int
		_ = tables("reminder").QueryRowContext(ctx, "SELECT count(*) FROM reminders_letters").Scan(&n) // the mistake
		return nil, nil
	}, `app clinic: Verify asks for the tables of "reminder", which is no module: there are appointments, reminders`},
}

// Rules that do not read the tables as they should are an error, and nothing adds up.
func TestMistakesInVerify(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "clinic.db")
	a := troupe.App[Desk]{Name: "clinic", Wire: wire, Commands: []troupe.Command[Desk]{{
		Name: "look", Run: func(context.Context, *troupe.Call[Desk]) error { return nil },
	}}}
	if code, out := runClinic(t.Context(), a, "look", "--journal", journal); code != 0 {
		t.Fatal(code, out)
	}
	for name, c := range booksMistakes {
		a.Verify = c.verify
		code, out := runClinic(t.Context(), a, "verify", "--journal", journal)
		if code != 1 || !strings.Contains(out, "clinic: the books: "+c.want) || strings.Contains(out, "adds up") {
			t.Errorf("%s: code %d: %s", name, code, out)
		}
	}
	a.Books.Pages = func(ctx context.Context, look func(func(bus.SQL, bool) error) error, _ func(int, int)) (troupe.Report, bool, error) {
		_ = look(func(tx bus.SQL, _ bool) error { return tx.(*sql.Tx).Commit() }) // the mistake
		return troupe.Report{}, true, look(func(bus.SQL, bool) error { return nil })
	}
	code, out := runClinic(t.Context(), a, "verify", "--journal", journal)
	if code != 1 || !strings.Contains(out, "Books.Pages committed or rolled back") || strings.Contains(out, "adds up") {
		t.Errorf("pages: code %d: %s", code, out)
	}
	a.Books.Pages = nil
	a.Verify = func(_ context.Context, tables func(string) bus.SQL) ([]string, error) {
		if tables("appointments") != tables("reminders") { // a module without tables
			t.Error("two transactions for one journal")
		}
		return nil, nil
	}
	if code, out := runClinic(t.Context(), a, "verify", "--journal", journal); code != 0 || !strings.Contains(out, "everything adds up") {
		t.Errorf("without a mistake: code %d: %s", code, out)
	}
}
