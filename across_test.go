package troupe_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// A module that only emits has no subscription: the journal with its tables counts as the one that runs it.
func TestVerifyAcrossFindsTheTablesOfAModuleThatOnlyEmits(t *testing.T) {
	t.Parallel()
	a := troupe.App[Desk]{
		Name: "clinic",
		Wire: func(b *bus.Bus) Desk {
			d := wire(b)
			d.m.Migrations(fstest.MapFS{"0001_init.sql": {Data: []byte("CREATE TABLE appointments_rooms (room TEXT PRIMARY KEY)")}})
			return d
		},
		Verify: func(ctx context.Context, tables func(string) bus.SQL) ([]string, error) {
			var rooms, letters int
			err := tables("appointments").QueryRowContext(ctx, "SELECT count(*) FROM appointments_rooms").Scan(&rooms)
			if err != nil {
				return nil, err
			}
			return nil, tables("reminders").QueryRowContext(ctx, "SELECT count(*) FROM reminders_letters").Scan(&letters)
		},
	}
	folder := t.TempDir()
	one, two := filepath.Join(folder, "one.db"), filepath.Join(folder, "two.db")
	for path, module := range map[string]string{one: "appointments", two: "reminders"} {
		serve(t, a, "--modules", module, "--journal", path, "--transport", "kafka", "--brokers", "127.0.0.1:1")
	}
	code, out := runClinic(t.Context(), a, "verify", "--journal", one, "--journal", two)
	if code != 0 || !strings.Contains(out, "books    right") || !strings.Contains(out, "everything adds up") {
		t.Errorf("code %d: %s", code, out)
	}
}
