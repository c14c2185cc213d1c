package troupe_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A program that refuses a journal leaves nothing beside it.
func TestARefusedJournalHasNoLockFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	journal := filepath.Join(folder, "clinic.db")
	if code, out := runClinic(t.Context(), soundClinic(), "book", "--journal", journal); code != 0 {
		t.Fatal(code, out)
	}
	if err := os.Remove(journal + ".lock"); err != nil {
		t.Fatal(err)
	}
	before := mustList(t, folder)
	other := soundClinic()
	other.Name = "library"
	for _, line := range []string{"book", "run --http 127.0.0.1:0", "observe --http 127.0.0.1:0 --transport kafka --brokers 127.0.0.1:1"} {
		code, out := runClinic(t.Context(), other, append(strings.Fields(line), "--journal", journal)...)
		if code != 1 || !strings.Contains(out, "it is a journal of clinic, and this is library: run clinic on it") {
			t.Errorf("%s: code %d: %s", line, code, out)
		}
		if after := mustList(t, folder); !slices.Equal(before, after) {
			t.Errorf("%s left %v, before there were %v", line, after, before)
		}
	}
}

func mustList(tb testing.TB, folder string) (names []string) {
	tb.Helper()
	found, err := os.ReadDir(folder)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range found {
		names = append(names, f.Name())
	}
	return names
}
