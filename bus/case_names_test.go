package bus_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/bus"
)

// A new handler has its names and its number of Rebuild from the first start on, also with a case that has FromNow.
func TestNamesOfANewHandlerWithACaseFromNow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	for range 2 {
		a := MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
			m.Emits(asked{}, answered{}).ForOutside(answered{})
			bus.OnEach(m, "x", bus.Of(noted[asked]("x")), bus.Of(noted[answered]("x")).FromNow()).Was("first").Rebuild(7)
		})
		var was string
		var version, rebuilds int
		err := a.j.View(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRow("SELECT was, version, rebuilds FROM subscriptions WHERE name = 'test/x'").Scan(&was, &version, &rebuilds)
		})
		if err != nil || was != `["test/first"]` || version != 7 || rebuilds != 0 {
			t.Errorf("earlier names %s, version %d, %d runs from the start, %v", was, version, rebuilds, err)
		}
		a.stop()
	}
}
