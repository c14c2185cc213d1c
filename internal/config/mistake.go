package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// Mistake is one thing that is wrong with what a deployable was told.
type Mistake struct {
	Where string `json:"where"` // file:line, the name of a variable, or a flag
	What  string `json:"what"`  // with what is wanted
}

// String is one line for people, fit for a terminal: names in a file may be anything.
func (m Mistake) String() string {
	if m.Where == "" {
		return journal.Printable(m.What)
	}
	return journal.Printable(m.Where + ": " + m.What)
}

// Mistakes is an error that is everything that is wrong, in all sources.
type Mistakes []Mistake

// Error implements error, with a line for each.
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

// asError is nil where there are none. What several deployables share is wrong once.
func (m Mistakes) asError() error {
	if len(m) == 0 {
		return nil
	}
	return m.once()
}

// once leaves out what is there already.
func (m Mistakes) once() Mistakes {
	seen := map[Mistake]bool{}
	return slices.DeleteFunc(m, func(one Mistake) bool {
		again := seen[one]
		seen[one] = true
		return again
	})
}

// nearest is the one of known that somebody may have meant by word, or "".
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

// choices is the end of a message about a word that is not one of known.
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

// plain is a word without what people leave to chance.
func plain(word string) string { return strings.ReplaceAll(strings.ToLower(word), "_", "-") }

// distance is how many letters must be added, taken away, changed or swapped with their neighbour to make b of a.
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
