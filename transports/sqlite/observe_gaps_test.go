package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/sqlite"
)

// TestAnObserverTellsItsGaps: what was lost before an observer read it is a dead letter there, once, until somebody
// drops it.
func TestAnObserverTellsItsGaps(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "observer.db")
	j, o := MustObserve(t, path)
	gaps := func() (gaps []string) {
		t.Helper()
		err := j.View(t.Context(), func(tx *sql.Tx) (err error) {
			gaps, err = sqlite.Gaps(t.Context(), tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return gaps
	}
	gap := func(id, trouble string) *journal.Event {
		return &journal.Event{ID: id, Type: wire.UndecodedType, Version: 1, Source: "bus", CorrelationID: id, Time: time.Now(), Metadata: map[string]string{wire.MetaTrouble: trouble}}
	}
	other := gap("x", "")
	delete(other.Metadata, wire.MetaTrouble)
	first := gap("y", "offsets 0 to 3 were deleted before the first read")
	first.Metadata[wire.MetaFirst] = "true"
	for range 2 { // the same is told once
		if err := o.Take(t.Context(), []*journal.Event{gap("a", "offsets 1 to 3 are gone"), other, first, gap("b", "offsets 7 to 9 are gone")}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"offsets 1 to 3 are gone", "offsets 7 to 9 are gone"}; !slices.Equal(gaps(), want) {
		t.Errorf("it tells %v, want %v", gaps(), want)
	}
	ctx := context.Background()
	if found, err := j.Reader().Check(ctx); err != nil || len(found) > 0 {
		t.Errorf("the journal's books: %v, %v", found, err)
	}
	all := sqlite.Act{Reason: "sent again"}
	if _, err := sqlite.Replay(ctx, path, all); !errors.Is(err, sqlite.ErrObserver) {
		t.Errorf("they are replayed: %v", err)
	}
	if letters, err := sqlite.Drop(ctx, path, all); err != nil || len(letters) != 2 || letters[0].Subscription != "bus/ingest" {
		t.Errorf("dropped %v, %v", letters, err)
	}
	if len(gaps()) != 0 {
		t.Errorf("then it tells %v", gaps())
	}
	if found, err := j.Reader().Check(ctx); err != nil || len(found) > 0 {
		t.Errorf("then the journal's books: %v, %v", found, err)
	}
}
