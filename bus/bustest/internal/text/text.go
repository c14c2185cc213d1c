// Package text has the texts of failures.
package text

import (
	"fmt"
	"slices"
	"strings"
)

// around is the number of equal lines around a difference.
const around = 2

// Diff returns the difference between two texts, line by line.
func Diff(from, to string) string {
	a, b := strings.Split(strings.TrimSuffix(from, "\n"), "\n"), strings.Split(strings.TrimSuffix(to, "\n"), "\n")
	lines := edits(a, b)
	keep := make([]bool, len(lines))
	for i, line := range lines {
		if line[0] != ' ' {
			for j := max(0, i-around); j < min(len(lines), i+around+1); j++ {
				keep[j] = true
			}
		}
	}
	var out []string
	for i, line := range lines {
		if keep[i] {
			out = append(out, line)
		} else if i == 0 || keep[i-1] {
			out = append(out, "  …")
		}
	}
	return strings.Join(out, "\n")
}

// edits returns the lines of both texts with a sign, the longest common subsequence once.
func edits(a, b []string) []string {
	common := make([][]int, len(a)+1) // common[i][j]: the length of the longest common subsequence of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i, x := range slices.Backward(a) {
		for j, y := range slices.Backward(b) {
			if x == y {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

// Plural returns n with the noun, which gets an s unless n is 1.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
