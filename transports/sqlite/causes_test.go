package sqlite

import (
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNormalise: words with a number in them become #, as the pattern says, in any text.
func TestNormalise(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`[\pL\pN_-]*\pN[\pL\pN_-]*`)
	pieces := []string{"a", "7", "-", "_", " ", ".", "é", "٣", "½", "漢", "€", "\xff", ":", "order"}
	draw := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := ""
		for range draw.IntN(12) {
			text += pieces[draw.IntN(len(pieces))]
		}
		if got, want := string(normalise(nil, []byte(text))), word.ReplaceAllString(text, "#"); got != want {
			t.Fatalf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestAnObserverStartsWithoutReadingItsLog: what is written at its start for each subscription goes through no events.
func TestAnObserverStartsWithoutReadingItsLog(t *testing.T) {
	t.Parallel()
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	err = j.Reader().View(t.Context(), func(tx *sql.Tx) error {
		return each(t.Context(), tx, statement{"EXPLAIN QUERY PLAN " + observeSubscription, []any{"a", "[]"}}, func(rows *sql.Rows) error {
			var id, parent, unused int
			var detail string
			err := rows.Scan(&id, &parent, &unused, &detail)
			if strings.Contains(detail, "SCAN events") {
				t.Error(detail)
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
