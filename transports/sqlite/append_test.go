package sqlite

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnIDWithOtherContentIsTold: the first event of an id stays, and the log hears of one that is not the same,
// which a repeat is.
func TestAnIDWithOtherContentIsTold(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	with := func(data string) { e := plain("1"); e.Data = []byte(data); mustAppend(t, j, e) }
	with("one")
	with("one")
	if strings.Contains(log.String(), "other content") {
		t.Errorf("of a repeat it tells %s", log.String())
	}
	with("two")
	with("three")
	if err := j.Close(); err != nil { // before the log is read
		t.Fatal(err)
	}
	if told := log.String(); strings.Count(told, "other content") != 1 || !strings.Contains(told, "event_id=1") {
		t.Errorf("it tells %q", told)
	}
}
