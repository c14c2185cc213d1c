package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNamesThatSQLiteGives cannot be a journal's: SQLite would delete it.
func TestNamesThatSQLiteGives(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]bool{
		"shop.db-journal": true, "shop.db-wal": true, "shop.db-SHM": true, "x-mj1A2B3C4D": true,
		"journal": false, "shop-journal.db": false, "my-wallet": false, "-wal": false,
	} {
		path := filepath.Join(t.TempDir(), name)
		j, err := Open(t.Context(), path, Config{Synchronous: "off"})
		if err == nil {
			err = j.Close()
		}
		if got := err != nil && strings.Contains(err.Error(), "name another one"); got != refused || !refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(path); refused && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
}
