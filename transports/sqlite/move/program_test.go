package move

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite"
)

// The program goes along with modules that are split off, and keeps out modules of another one.
func TestProgramsStayApart(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 11))
	o := Options{Journal: MustMake(t, random), Other: filepath.Join(t.TempDir(), "payment.db"), Modules: []string{"payment"}, NoBackup: true}
	a := mustTouch(t, random, o.Journal)
	a.exec("INSERT INTO program (one, name, declares) VALUES (1, 'clinic', '{}')")
	_ = a.db.Close()
	if _, err := Split(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b := mustTouch(t, random, o.Other)
	if got := column[string](b, "SELECT name FROM program"); len(got) != 1 || got[0] != "clinic" {
		t.Errorf("the new journal belongs to %v, want clinic", got)
	}
	b.exec("UPDATE program SET name = 'shop'")
	_ = b.db.Close()
	merge := Options{Journal: o.Journal, Other: o.Other, NoBackup: true}
	if _, err := Merge(t.Context(), merge); !errors.Is(err, sqlite.ErrOtherProgram) {
		t.Errorf("merging a journal of shop into one of clinic says %v, want ErrOtherProgram", err)
	}
	b = mustTouch(t, random, o.Other)
	b.exec("DELETE FROM program")
	_ = b.db.Close()
	if _, err := Merge(t.Context(), merge); err != nil {
		t.Errorf("merging a journal of no program: %v", err)
	}
}
