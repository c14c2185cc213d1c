package bustest

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// updateFlag has golden files written. A test package that has a flag of this name itself must look it up rather than
// register it, for this package is initialized first; what registers it earlier shares it.
const updateFlag = "update"

func init() {
	if flag.Lookup(updateFlag) == nil {
		flag.Bool(updateFlag, false, "write the golden files that tests compare with")
	}
}

func updating() bool { return flag.Lookup(updateFlag).Value.String() == "true" }

// Golden compares the flow, as a sequence diagram in Mermaid's language, with testdata/<name>.mmd: the modules in the order
// in which they come in, and each event from the module that emitted it to every module that reacts, with the
// subscription's name, and its outcome when that is not done. An event that nobody reacts to goes to outside, and one that
// came from there comes from there. With the flag -update the file is written instead.
//
// It holds what happened, not when: no ids, keys, times or attempts. Events stand below their causes: the beginnings as
// they came, what one reaction emits in its order, the reactions to an event by name. Only a change of behaviour changes it.
func (f *Flow) Golden(t testing.TB, name string) {
	t.Helper()
	golden(t, filepath.Join("testdata", filepath.FromSlash(name)+".mmd"), drawSequence(f.flow), func(is, want string) string {
		return fmt.Sprintf("flow %s is not as the file has it (- file, + flow)\n%s", f.flow.ID, diffLines(want, is))
	})
}

// Sequence is the flow as Golden has it: what caused what, and nothing that differs from one run to the next.
func (f *Flow) Sequence() string { return drawSequence(f.flow) }

// goldenFiles lets one test at a time write: a scenario that is explored does it from several goroutines.
var goldenFiles sync.Mutex

// golden compares is with the file at path, or writes it. differ says how the two differ.
func golden(t testing.TB, path, is string, differ func(is, want string) string) {
	t.Helper()
	goldenFiles.Lock()
	defer goldenFiles.Unlock()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("bustest: %v", err)
		return
	}
	missing := err != nil
	want := strings.ReplaceAll(string(data), "\r\n", "\n") // as Git may have checked it out
	switch {
	case !missing && want == is:
	case updating():
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(is), 0o644)); err != nil {
			t.Fatalf("bustest: %v", err)
		}
		if !missing {
			t.Logf("%s is written anew: %s", path, differ(is, want))
		}
	case missing:
		t.Errorf("%s is not there yet. %s\n%s", path, howToUpdate(t), is)
	default:
		t.Errorf("%s: %s\n%s", path, differ(is, want), howToUpdate(t))
	}
}

func howToUpdate(t testing.TB) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return fmt.Sprintf("When that is meant, write it, in the folder of the test, with: go test -run '^%s$' -update", name)
}

// around is how many equal lines are shown before and after different ones.
const around = 2

// diffLines shows how to get from one text to the other, line by line.
func diffLines(from, to string) string {
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

// edits are the lines of both texts, each with a sign, the longest common part only once.
func edits(a, b []string) []string {
	common := make([][]int, len(a)+1) // common[i][j]: lines that a[i:] and b[j:] have in common
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
