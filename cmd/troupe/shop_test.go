package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/transports/sqlite"
)

// The simulated gateway and carrier have a file if a module here calls them.
func TestTheWorldIsWhereItIsAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		modules []string
		there   bool
	}{{modulesOfShop, true}, {[]string{"payment"}, true}, {[]string{"order", "shipping"}, true}, {[]string{"order", "inventory"}, false}} {
		path := filepath.Join(t.TempDir(), "shop.db")
		j, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		closeWorld, err := newShop().open(t.Context(), &troupe.Deployable{Modules: c.modules, Journal: j})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(j.Close(), closeWorld()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(worldPath(path)); (err == nil) != c.there {
			t.Errorf("%v: %v, want it there: %t", c.modules, err, c.there)
		}
	}
}
