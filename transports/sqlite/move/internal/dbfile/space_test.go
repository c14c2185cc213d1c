package dbfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCheckRoom(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	if err := os.WriteFile(path, []byte("small"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, known := space(t.TempDir()); !known {
		t.Skip("how much room there is cannot be asked on this system")
	}
	if err := CheckSpace(path, path+".new", true); err != nil {
		t.Errorf("a small journal: %v", err)
	}
	if err := os.Truncate(path, 1<<43); err != nil { // of which the disk has nothing
		t.Skipf("this file system has no sparse files of 8 TiB: %v", err)
	}
	if err := CheckSpace(path, "", false); !errors.Is(err, ErrSpace) {
		t.Errorf("a journal of 8 TiB: %v", err)
	}
}
