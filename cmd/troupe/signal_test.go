package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// argsOfItself is a variable with arguments, in JSON: with it, the test binary is the program.
const argsOfItself = "TROUPE_TEST_ARGS"

// TestItself is not a test: it is the program, when another test starts it as such.
func TestItself(*testing.T) {
	var args []string
	if json.Unmarshal([]byte(os.Getenv(argsOfItself)), &args) == nil {
		os.Exit(run(args))
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
	log := &syncedLog{}
	cmd := runCmd(&options{stdout: io.Discard, stderr: log}, nil)
	cmd.SetArgs([]string{"--journal", filepath.Join(t.TempDir(), "shop.db"), "--http", "127.0.0.1:0"})
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Errorf("it ended with %v, want a clean end; its log: %s", err, log)
	}
}

func TestDescribeBuild(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "042c17b"}, {Key: "vcs.time", Value: "2026-11-30T00:00:00Z"}, {Key: "vcs.modified", Value: "true"}}}
	if got, want := describeBuild(info), "v1.2.3 042c17b of 2026-11-30T00:00:00Z, with changes, go1.26"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := describeBuild(&debug.BuildInfo{GoVersion: "go1.26"}), "(unknown), go1.26"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const v2, v1 = "0::/shop.slice/a.scope\n", "5:cpu,cpuacct:/x\n4:memory:/docker/7\n0::/\n"
	for _, c := range []struct {
		name   string
		groups string
		files  map[string]string
		want   int64 // 0 for none
	}{
		{"its own", v2, map[string]string{"sys/fs/cgroup/shop.slice/a.scope/memory.max": "1000\n"}, 900},
		{"the one above", v2, map[string]string{"sys/fs/cgroup/shop.slice/a.scope/memory.max": "max\n", "sys/fs/cgroup/shop.slice/memory.max": "2000\n"}, 1800},
		{"the tighter one", v2, map[string]string{"sys/fs/cgroup/shop.slice/a.scope/memory.max": "3000\n", "sys/fs/cgroup/shop.slice/memory.max": "2000\n"}, 1800},
		{"of the container's own view", "0::/\n", map[string]string{"sys/fs/cgroup/memory.max": "1000"}, 900},
		{"version 1", v1, map[string]string{"sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes": "1000\n"}, 900},
		{"version 1, of the host's path", v1, map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n"}, 900},
		{"version 1, none", v1, map[string]string{"sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"none", v2, map[string]string{"sys/fs/cgroup/shop.slice/a.scope/memory.max": "max\n"}, 0},
		{"nothing mounted", v2, nil, 0},
		{"nonsense", "x\n0::/../..\n", map[string]string{"sys/fs/cgroup/memory.max": "-1"}, 0},
		{"no groups at all", "", nil, 0},
	} {
		root := fstest.MapFS{}
		if c.groups != "" {
			root["proc/self/cgroup"] = &fstest.MapFile{Data: []byte(c.groups)}
		}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, ok := memoryLimit(root); got != c.want || ok != (c.want > 0) {
			t.Errorf("%s: %d, %t; want %d", c.name, got, ok, c.want)
		}
	}
}
