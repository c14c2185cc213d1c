package sqlite

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

// What a goroutine asks rows and statements that its work left open, while the work ends, races with nothing: go test
// -race tells.
func TestOpenRowsAreAskedWhileTheWorkEnds(t *testing.T) {
	t.Parallel()
	j := mustOpen(t, filepath.Join(t.TempDir(), "j.db"))
	defer mustClose(t, j)
	for range 4 {
		var asking sync.WaitGroup
		err := j.Do(t.Context(), journal.Work{Name: "asks"}, func(tx journal.TxFunc) ([]*journal.Event, error) {
			rows, err := tx().Query("SELECT 1 AS a UNION SELECT 2") //nolint:rowserrcheck,sqlclosecheck // left open on purpose
			if err != nil {
				return nil, err
			}
			s, err := tx().Prepare("SELECT ?") //nolint:sqlclosecheck // likewise
			if err != nil {
				return nil, err
			}
			begun := make(chan struct{}) // of this run: there may be another
			asking.Go(func() {
				for n := range 2000 {
					if n == 1000 {
						close(begun)
					}
					_, _ = rows.Columns()
					_ = s.QueryRow(n).Err()
				}
			})
			<-begun
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		asking.Wait()
	}
}
