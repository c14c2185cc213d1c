package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// Mistake is a mistake in the settings.
type Mistake struct {
	Where string `json:"where"` // file:line, the name of a variable, or a flag
	What  string `json:"what"`  // the mistake, and how to correct it
}

// String returns one line without control characters, which a file may have.
func (m Mistake) String() string {
	if m.Where == "" {
		return journal.Printable(m.What)
	}
	return journal.Printable(m.Where + ": " + m.What)
}

// Mistakes is an error with all mistakes in all sources.
type Mistakes []Mistake

// Error implements error, with a line for each mistake.
func (m Mistakes) Error() string {
	noun := "mistakes"
	if len(m) == 1 {
		noun = "mistake"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s in the settings:", len(m), noun)
	for _, one := range m {
		b.WriteString("\n  " + one.String())
	}
	return b.String()
}

// asError returns m without repetitions, or nil if m is empty.
func (m Mistakes) asError() error {
	if len(m) == 0 {
		return nil
	}
	return m.once()
}

// once removes repetitions: a mistake in a shared setting is found once per deployable.
func (m Mistakes) once() Mistakes {
	seen := map[Mistake]bool{}
	return slices.DeleteFunc(m, func(one Mistake) bool {
		again := seen[one]
		seen[one] = true
		return again
	})
}

// nearest returns the word of known that is nearest to word, or "" if none is near.
func nearest(word string, known []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		if d := distance(plain(word), plain(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// choices returns the end of a message about an unknown word: the nearest word, and all known words.
func choices(word string, known []string) string {
	if len(known) == 0 {
		return "there are none"
	}
	all := "there are " + shown(strings.Join(known, ", "))
	if n := nearest(word, known); n != "" {
		return "did you mean " + n + "? " + all
	}
	return all
}

// plain returns word in lower case, and with dashes for underscores.
func plain(word string) string { return strings.ReplaceAll(strings.ToLower(word), "_", "-") }

// distance returns the number of letters to add, remove, change or swap with a neighbour to turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			changed := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
