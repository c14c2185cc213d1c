package arch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"maps"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The goals of every package, without its tests.
const (
	maxPackageLines = 2000
	maxColumns      = 120 // of a line, with a tab as one column; a string may make a line longer
	maxPronouns     = 6.0 // per 100 words of comment; the wordiest of the counted code bases has 5.6
	maxWhat         = 0.3 // per 100 words of comment
	fewWords        = 300 // rates of packages with fewer words of comment are not checked
)

// ratchetFile lists the packages that miss a goal, and by how much. The list may only shrink.
const ratchetFile = "ratchet.json"

var tighten = flag.Bool("tighten", false, "update "+ratchetFile+" for packages that have come closer to the goals")

// size has the numbers of a package that miss a goal.
type size struct {
	Lines    int     `json:"lines,omitempty"`    // over maxPackageLines
	Long     int     `json:"long,omitempty"`     // lines with more than maxColumns columns
	Pronouns float64 `json:"pronouns,omitempty"` // over maxPronouns
	What     float64 `json:"what,omitempty"`     // over maxWhat
}

// counted has all numbers of a package.
type counted struct{ lines, long, words, pronouns, what int }

// pronouns make a reader search for the noun. The conjunction "that" counts, too.
var pronouns = wordSet(`it its itself they them their theirs themselves this that these those he she him her his what which who whom
	whose whoever whatever one ones nobody somebody anybody everybody nothing something anything everything none`)

var whats = wordSet("what who whom whose whoever whatever whichever")

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

var aWord = regexp.MustCompile(`[A-Za-z][A-Za-z'’-]*`)

// add adds the numbers of a file.
func (c *counted) add(s source, text []byte) {
	c.lines += s.lines
	c.long += len(longLines(text))
	for _, group := range s.file.Comments {
		for _, w := range aWord.FindAllString(group.Text(), -1) {
			w = strings.ToLower(w)
			c.words++
			if pronouns[w] {
				c.pronouns++
			}
			if whats[w] {
				c.what++
			}
		}
	}
}

// over returns the numbers that miss a goal.
func (c counted) over() size {
	s := size{Long: c.long}
	if c.lines > maxPackageLines {
		s.Lines = c.lines
	}
	if c.words >= fewWords {
		s.Pronouns, s.What = over(c.pronouns, c.words, maxPronouns), over(c.what, c.words, maxWhat)
	}
	return s
}

// over returns the rate of n per 100 words, rounded up to hundredths, or 0 if the rate meets the goal.
func over(n, words int, goal float64) float64 {
	rate := math.Ceil(10_000*float64(n)/float64(words)) / 100
	if rate <= goal {
		return 0
	}
	return rate
}

// longLines returns the numbers of lines that are too long, without lines that contain a string.
func longLines(text []byte) (found []int) {
	inString := map[int]bool{}
	fset := token.NewFileSet()
	var sc scanner.Scanner
	file := fset.AddFile("", fset.Base(), len(text))
	sc.Init(file, text, nil, 0)
	for {
		pos, tok, lit := sc.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.STRING {
			for line := file.Line(pos); line <= file.Line(pos)+strings.Count(lit, "\n"); line++ {
				inString[line] = true
			}
		}
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		if len([]rune(string(line))) > maxColumns && !inString[i+1] {
			found = append(found, i+1)
		}
	}
	return found
}

// TestRatchet checks every package against the goals, or against its numbers in ratchetFile.
func TestRatchet(t *testing.T) {
	t.Parallel()
	packages := map[string]*counted{}
	for _, file := range MustFiles(t, ".go") {
		text := MustRead(t, file)
		s := MustParse(t, file, text)
		if s.isTest() || ast.IsGenerated(s.file) {
			continue
		}
		name := path.Dir(file)
		if packages[name] == nil {
			packages[name] = &counted{}
		}
		packages[name].add(s, text)
	}
	is := map[string]size{}
	for name, c := range packages {
		if over := c.over(); over != (size{}) {
			is[name] = over
		}
	}
	if *tighten {
		mustWriteRatchet(t, is)
		return
	}
	found := compareRatchet(is, mustReadRatchet(t))
	for _, what := range found {
		t.Error(what)
	}
}

// compareRatchet returns the numbers that are worse than was, and the numbers that are better but not in ratchetFile yet.
func compareRatchet(is, was map[string]size) (found []string) {
	names := slices.Collect(maps.Keys(is))
	for name := range was {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		a, b := is[name], was[name]
		for _, c := range []struct {
			what      string
			is, was   float64
			goal, lax float64
		}{
			{"lines", float64(a.Lines), float64(b.Lines), maxPackageLines, 50},
			{fmt.Sprintf("lines of more than %d columns", maxColumns), float64(a.Long), float64(b.Long), 0, 5},
			{"pronouns in 100 words of comment", a.Pronouns, b.Pronouns, maxPronouns, 0.3},
			{"words like what and who in 100 words of comment", a.What, b.What, maxWhat, 0.1},
		} {
			switch {
			case c.is > c.was:
				found = append(found, fmt.Sprintf("%s has %v %s, and may have %v: name the subject of each sentence, wrap lines, or cut the package into rooms",
					name, c.is, c.what, cmp.Or(c.was, c.goal)))
			case c.was-c.is > c.lax:
				found = append(found, fmt.Sprintf("%s has %v %s, which is better than %v: record this with go test ./internal/arch -run TestRatchet -tighten",
					name, c.is, c.what, c.was))
			}
		}
	}
	return found
}

func mustReadRatchet(tb testing.TB) (was map[string]size) {
	tb.Helper()
	text, err := os.ReadFile(ratchetFile)
	if err == nil {
		err = json.Unmarshal(text, &was)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return was
}

// mustWriteRatchet writes the ratchet anew. It refuses to loosen it.
func mustWriteRatchet(tb testing.TB, is map[string]size) {
	tb.Helper()
	if _, err := os.Stat(ratchetFile); err == nil {
		for _, what := range compareRatchet(is, mustReadRatchet(tb)) {
			if !strings.Contains(what, "which is better than") {
				tb.Fatal(what)
			}
		}
	}
	text, err := json.MarshalIndent(is, "", "\t")
	if err == nil {
		err = os.WriteFile(ratchetFile, append(text, '\n'), 0o644)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func TestRatchetTurnsOneWay(t *testing.T) {
	t.Parallel()
	was := map[string]size{"a": {Lines: 3000, Long: 20, Pronouns: 9, What: 2}}
	for name, c := range map[string]struct {
		is   map[string]size
		want string
	}{
		"the same":       {was, ""},
		"a new package":  {map[string]size{"a": was["a"], "b": {Long: 1}}, "b has 1 lines of more than 120 columns, and may have 0"},
		"longer":         {map[string]size{"a": {Lines: 3001, Long: 20, Pronouns: 9, What: 2}}, "a has 3001 lines, and may have 3000"},
		"wordier":        {map[string]size{"a": {Lines: 3000, Long: 20, Pronouns: 9.01, What: 2}}, "a has 9.01 pronouns"},
		"at the goal":    {map[string]size{"a": {Lines: 3000, Long: 20, Pronouns: 9}}, "better than 2"},
		"a little less":  {map[string]size{"a": {Lines: 2990, Long: 18, Pronouns: 8.9, What: 1.95}}, ""},
		"a package less": {map[string]size{}, "better than 3000"},
	} {
		found := strings.Join(compareRatchet(c.is, was), "\n")
		if (found == "") != (c.want == "") || !strings.Contains(found, c.want) {
			t.Errorf("%s: %q, want %q", name, found, c.want)
		}
	}
	long := strings.Repeat("x", maxColumns+1)
	text := "package a\n\n// " + long + "\nvar a = `" + long + "`\nvar b = 1 // " + long + "\n"
	if got := longLines([]byte(text)); !slices.Equal(got, []int{3, 5}) {
		t.Errorf("long lines %v, want 3 and 5", got)
	}
}
