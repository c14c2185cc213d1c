package bustest

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/troupebus/troupe/bus/bustest/internal/sequence"
	"github.com/troupebus/troupe/bus/bustest/internal/text"
)

// updateFlag makes tests write golden files. This package is initialized before the test package: a test package that
// uses the same flag must look the flag up instead of registering it. If the flag exists already, this package shares
// the flag.
const updateFlag = "update"

func init() {
	if flag.Lookup(updateFlag) == nil {
		flag.Bool(updateFlag, false, "write the golden files that tests compare with")
	}
}

func updating() bool { return flag.Lookup(updateFlag).Value.String() == "true" }

// Golden compares the flow with testdata/<name>.mmd, a sequence diagram in Mermaid's language. The diagram has the
// modules in order of appearance, and an arrow for each event from the emitting module to every reacting module, with
// the subscription's name, and with the outcome if the outcome is not done. The participant "outside" receives events
// without reactions, and emits events from outside of the bus. With the flag -update, Golden writes the file.
//
// The diagram shows events and causes, but no ids, keys, times or attempts. Events stand below their causes: the
// first events as they came, the events of a reaction in order of emission, the reactions to an event by name. Only a
// change of behaviour changes the diagram.
func (f *Flow) Golden(t testing.TB, name string) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name)+".mmd")
	golden(t, path, sequence.Draw(f.flow), func(got, want string) string {
		return fmt.Sprintf("flow %s differs from the file (- file, + flow)\n%s", f.flow.ID, text.Diff(want, got))
	})
}

// Sequence returns the diagram of Golden: the causes and effects, without details that differ between runs.
func (f *Flow) Sequence() string { return sequence.Draw(f.flow) }

// goldenFiles serializes access to golden files, because an explored scenario runs in several goroutines.
var goldenFiles sync.Mutex

// golden compares got with the file at path, or writes the file. differ describes the difference.
func golden(t testing.TB, path, got string, differ func(got, want string) string) {
	t.Helper()
	goldenFiles.Lock()
	defer goldenFiles.Unlock()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("bustest: %v", err)
		return
	}
	missing := err != nil
	want := strings.ReplaceAll(string(data), "\r\n", "\n") // Git may have changed the line ends
	switch {
	case !missing && want == got:
	case updating():
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatalf("bustest: %v", err)
		}
		if !missing {
			t.Logf("%s was written again: %s", path, differ(got, want))
		}
	case missing:
		t.Errorf("%s does not exist yet. %s\n%s", path, howToUpdate(t), got)
	default:
		t.Errorf("%s: %s\n%s", path, differ(got, want), howToUpdate(t))
	}
}

func howToUpdate(t testing.TB) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return fmt.Sprintf("If the change is intended, run in the folder of the test: go test -run '^%s$' -update", name)
}
