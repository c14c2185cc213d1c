// Command apidiff compares the public packages with those of the last tag. An incompatible change of a promise fails,
// and of a seam is only reported. The comment of each package says which of the two the package is.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/troupebus/troupe/internal/ci/promise"
)

// tool is the program that compares two modules. go.mod does not require the tool: newer modules would come with it.
const tool = "golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4"

func main() {
	broken, err := check(".", os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "apidiff:", err)
	}
	if err != nil || broken {
		os.Exit(1)
	}
}

// check compares the module in the folder root with its last tag, and reports whether a promise is broken.
func check(root string, out io.Writer) (broken bool, err error) {
	tag, err := run(root, nil, "git", "describe", "--tags", "--abbrev=0")
	if err != nil {
		_, err = fmt.Fprintln(out, "NOT CHECKED: changes of the public packages: there is no tag to compare with")
		return false, err
	}
	module, err := run(root, nil, "go", "list", "-m")
	if err != nil {
		return false, err
	}
	scratch, err := os.MkdirTemp("", "apidiff")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if _, err := run(root, []string{"GOBIN=" + scratch}, "go", "install", tool); err != nil {
		_, err = fmt.Fprintf(out, "NOT CHECKED: changes of the public packages: %s cannot be installed: %v\n", tool, err)
		return false, err
	}
	old := filepath.Join(scratch, "old")
	if _, err := run(root, nil, "git", "worktree", "add", "--detach", old, tag); err != nil {
		return false, err
	}
	defer func() {
		_, removed := run(root, nil, "git", "worktree", "remove", "--force", old)
		err = errors.Join(err, removed)
	}()
	apidiff, exported := filepath.Join(scratch, "apidiff"), filepath.Join(scratch, "old.export")
	if _, err := run(old, nil, apidiff, "-m", "-w", exported, module); err != nil {
		return false, err
	}
	changes, err := run(root, nil, apidiff, "-m", "-incompatible", exported, module)
	if err != nil {
		return false, err
	}
	return report(out, changes, tag, module, root, old)
}

// run returns what a command prints, without the last newline.
func run(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(name), args[0], err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// report prints the changes of public packages, and reports whether a promise is broken.
func report(out io.Writer, changes, tag, module, root, old string) (broken bool, err error) {
	for line := range strings.Lines(changes) {
		change, ok := strings.CutPrefix(strings.TrimSpace(line), "- ")
		if !ok {
			continue
		}
		dir := dirOf(change, module)
		stability, err := promise.Of(filepath.Join(old, dir)) // the promise of the tag: a package may be gone
		if err == nil && stability != promise.Promise {
			stability, err = promise.Of(filepath.Join(root, dir))
		}
		if err != nil {
			return broken, err
		}
		switch stability {
		case promise.Promise:
			broken = true
			_, err = fmt.Fprintf(out, "breaks the promise of %s: %s\n", tag, change)
		case promise.Seam:
			_, err = fmt.Fprintf(out, "a seam differs from %s: %s\n", tag, change)
		}
		if err != nil {
			return broken, err
		}
	}
	return broken, nil
}

// dirOf returns the folder of the package of a change: "./bus.Emit: removed", "Main: removed" of the root, or "package
// example.com/m/bus: removed".
func dirOf(change, module string) string {
	if path, ok := strings.CutPrefix(change, "package "+module); ok {
		path, _, _ = strings.Cut(path, ":")
		return strings.TrimPrefix(path, "/")
	}
	path, ok := strings.CutPrefix(change, "./")
	if !ok {
		return "."
	}
	path, _, _ = strings.Cut(path, ".")
	return path
}
