package sqlite_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Topics come one after the other to an observer that is new: its newest events are those of the latest times.
func TestObserverOrdersEventsByTheirTimes(t *testing.T) {
	t.Parallel()
	j, o := MustObserve(t, filepath.Join(t.TempDir(), "observer.db"))
	for i, second := range []int64{1, 3, 5, 5, 2, 4} {
		mustTake(t, o, &journal.Event{ID: fmt.Sprint(i), Type: "test.asked", CorrelationID: "f", Time: time.Unix(second, 0), Hops: 3 - i})
	}
	for want, f := range map[string]sqlite.EventFilter{
		"0 4 1 5 3 2": {Newest: true}, "5 3 2": {Newest: true, Limit: 3}, "0 1 2": {Limit: 3}, "3 4": {AfterSeq: 3, Limit: 2},
	} {
		var ids []string
		err := j.Reader().Events(t.Context(), f, func(e *journal.Event) error { ids = append(ids, e.ID); return nil })
		if got := strings.Join(ids, " "); err != nil || got != want {
			t.Errorf("%+v has %s, want %s: %v", f, got, want, err)
		}
	}
}
