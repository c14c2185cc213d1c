package move

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a move makes lies beside the journal's file, not beside a link to it.
func TestOptionsFollowLinks(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real, link := filepath.Join(dir, "real.db"), filepath.Join(dir, "links", "link.db")
	if err := errors.Join(os.Mkdir(filepath.Dir(link), 0o755), os.WriteFile(real, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Skip(err)
	}
	o, err := Options{Journal: link, Other: real}.withDefaults()
	if err != nil || o.Journal != real || o.Other != real {
		t.Fatalf("%+v %v", o, err)
	}
	if err := o.checkOther(); err == nil || !strings.Contains(err.Error(), "cannot be both journals") {
		t.Errorf("one file by two names: %v", err)
	}
	if err := os.Remove(real); err != nil {
		t.Fatal(err)
	}
	if _, err := (Options{Journal: link}).withDefaults(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nothing: %v", err)
	}
}
