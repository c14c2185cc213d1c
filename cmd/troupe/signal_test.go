package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// argsOfItself is an environment variable with arguments, in JSON: with it, the test binary is the program.
const argsOfItself = "TROUPE_TEST_ARGS"

// TestItself is no test: it is the program, when another test starts the binary.
func TestItself(*testing.T) {
	var args []string
	if json.Unmarshal([]byte(os.Getenv(argsOfItself)), &args) == nil {
		os.Args = append(os.Args[:1], args...)
		main()
	}
}

// ownProcess is the program in a separate process.
type ownProcess struct {
	*exec.Cmd
	said   announcement
	hangUp func() // closes the reader of its output
}

// MustServeItself starts run in a process, through the shell command before.
func MustServeItself(tb testing.TB, before string) *ownProcess {
	tb.Helper()
	args, err := json.Marshal([]string{"run", "--json", "--journal", filepath.Join(tb.TempDir(), "shop.db"), "--http", "127.0.0.1:0"})
	if err != nil {
		tb.Fatal(err)
	}
	p := &ownProcess{Cmd: exec.CommandContext(tb.Context(), "sh", "-c", before+`exec "$0" -test.run '^TestItself$'`, os.Args[0])}
	p.Env = append(os.Environ(), argsOfItself+"="+string(args))
	out, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.Stdout, p.Stderr = w, w
	if err := p.Start(); err != nil {
		tb.Fatal(err)
	}
	_ = w.Close()
	p.hangUp = func() { _ = out.Close() }
	tb.Cleanup(func() { _ = p.Process.Kill() })
	var text strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text.WriteString(lines.Text())
		if json.Unmarshal([]byte(text.String()), &p.said) == nil {
			return p
		}
	}
	tb.Fatalf("it has not announced itself: %s", text.String())
	return nil
}

// A terminal that closes ends the reader of the log and sends SIGHUP: the program must still stop cleanly.
func TestRunStopsCleanlyWithItsTerminal(t *testing.T) {
	t.Parallel()
	hungUp := make(chan os.Signal, 1) // under nohup, the test would pass on the ignored SIGHUP
	signal.Notify(hungUp, syscall.SIGHUP)
	defer signal.Stop(hungUp)
	p := MustServeItself(t, "")
	p.hangUp()
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v, want a clean end", err)
	}
}

// A program that was started with SIGHUP ignored, as by nohup, continues.
func TestRunGoesOnUnderNohup(t *testing.T) {
	t.Parallel()
	p := MustServeItself(t, "trap '' HUP; ")
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(p.said.URL + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("answer %s", answer.Status)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// A program that gets a signal while it opens its journal also stops cleanly.
func TestRunStopsCleanlyBeforeItIsOpen(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	ran := MustRunCommandIn(t, ctx, "run", "--journal", filepath.Join(t.TempDir(), "shop.db"), "--http", "127.0.0.1:0")
	if ran.err != nil {
		t.Errorf("it ended with %v, want a clean end; its log: %s", ran.err, ran.stderr)
	}
}
