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

// argsOfItself is a variable with arguments, in JSON: with it, the test binary is the program.
const argsOfItself = "TROUPE_TEST_ARGS"

// TestItself is not a test: it is the program, when another test starts it as such.
func TestItself(*testing.T) {
	var args []string
	if json.Unmarshal([]byte(os.Getenv(argsOfItself)), &args) == nil {
		os.Args = append(os.Args[:1], args...)
		main()
	}
}

// ownProcess is the program in a process of its own.
type ownProcess struct {
	*exec.Cmd
	said   announcement
	hangUp func() // closes what it writes to
}

// MustServeItself starts run in a process, by way of the shell command before it.
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

// A terminal that is closed takes the reader of the log along, and sends SIGHUP: the program stops cleanly all the same.
func TestRunStopsCleanlyWithItsTerminal(t *testing.T) {
	t.Parallel()
	hungUp := make(chan os.Signal, 1) // tests that run under nohup would hand on that SIGHUP is ignored
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

// Whoever starts it with SIGHUP ignored, as nohup does, wants it to go on.
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

// A program that is told to stop in the moments in which it opens its journal stops cleanly, too.
func TestRunStopsCleanlyBeforeItIsOpen(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	ran := MustRunCommandIn(t, ctx, "run", "--journal", filepath.Join(t.TempDir(), "shop.db"), "--http", "127.0.0.1:0")
	if ran.err != nil {
		t.Errorf("it ended with %v, want a clean end; its log: %s", ran.err, ran.stderr)
	}
}
