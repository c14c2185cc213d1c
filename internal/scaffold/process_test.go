//go:build unix

package scaffold

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a step of a program's life may take on a busy machine.
const patience = 3 * time.Minute

// checkout is the root of the repository, seen from this package.
const checkout = "../.."

// folder is the folder of the binary of troupe, "" before a test has asked for the binary.
var folder string

// plain is the binary of troupe, built once.
var plain = sync.OnceValues(func() (path string, err error) {
	if folder, err = os.MkdirTemp("", "troupe-scaffold"); err != nil {
		return "", err
	}
	path = filepath.Join(folder, "troupe")
	build := exec.Command("go", "build", "-o", path, "./cmd/troupe")
	build.Dir = checkout
	out, err := build.CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})

// TestMain removes the binary.
func TestMain(m *testing.M) {
	code := m.Run()
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// MustTroupe returns the path of the plain binary.
func MustTroupe(tb testing.TB) string {
	tb.Helper()
	path, err := plain()
	if err != nil {
		tb.Fatalf("build troupe: %v\n%s", err, path)
	}
	return path
}

// place is a folder for commands, with variables beside those of the test.
type place struct {
	tb      testing.TB
	binary  string
	dir     string
	environ []string
}

// command returns a command of the binary in the place.
func (p place) command(args ...string) *exec.Cmd { return p.tool(p.binary, args...) }

func (p place) tool(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.tb.Context(), name, args...)
	cmd.Dir = p.dir
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "MAKE") && !strings.HasPrefix(e, "TROUPE_") && !strings.HasPrefix(e, "MFLAGS") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, p.environ...)
	return cmd
}

// run runs a command, wants the exit code, and returns the output.
func (p place) run(code int, cmd *exec.Cmd) (out, errs string) {
	p.tb.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		p.tb.Fatalf("%s: %v, want exit code %d\n%s%s", strings.Join(cmd.Args, " "), err, code, &stdout, &stderr)
	}
	return stdout.String(), stderr.String()
}

// says runs a command, wants success, and wants every text of want in the output.
func (p place) says(want []string, args ...string) string {
	p.tb.Helper()
	out, _ := p.run(0, p.command(args...))
	for _, w := range want {
		if !strings.Contains(out, w) {
			p.tb.Fatalf("%s does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
	return out
}

// server is a running process of the binary.
type server struct {
	tb    testing.TB
	cmd   *exec.Cmd
	log   *bytes.Buffer // to be read once the process has ended
	ended chan struct{}
	url   string
	at    string // of a broker
}

// serve starts a command, and reads the announcement, which is JSON.
func (p place) serve(args ...string) *server {
	p.tb.Helper()
	cmd := p.command(append(args, "--json")...)
	s := &server{tb: p.tb, cmd: cmd, log: &bytes.Buffer{}, ended: make(chan struct{})}
	cmd.Stderr = s.log
	out, stdout := io.Pipe()
	cmd.Stdout = stdout
	if err := cmd.Start(); err != nil {
		p.tb.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // stop checks the exit code
		close(s.ended)
		_ = stdout.Close()
	}()
	p.tb.Cleanup(s.kill)
	var said struct{ URL, Brokers string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		<-s.ended
		p.tb.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, s.log)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // nothing more is said
	s.url, s.at = said.URL, said.Brokers
	if s.url != "" {
		s.ready()
	}
	return s
}

// ready waits until the server takes work.
func (s *server) ready() {
	s.tb.Helper()
	eventually(s.tb, "the server is ready", func() (bool, string) {
		status, body := s.ask("GET", "/readyz", "")
		return status == http.StatusOK, body
	})
}

// kill is kill -9.
func (s *server) kill() {
	_ = s.cmd.Process.Signal(syscall.SIGKILL) // the process may have ended
	<-s.ended
}

// stop ends the server in order.
func (s *server) stop() {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.tb.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.kill()
		s.tb.Fatalf("the server did not end on SIGTERM\n%s", s.log)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.tb.Fatalf("exit code %d\n%s", code, s.log)
	}
}

// try asks the server, and returns an error where no answer came.
func (s *server) try(method, path, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(s.tb.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// ask is try, and wants an answer.
func (s *server) ask(method, path, body string) (status int, answer string) {
	s.tb.Helper()
	status, answer, err := s.try(method, path, body)
	if err != nil {
		s.tb.Fatalf("%s %s: %v", method, path, err)
	}
	return status, answer
}

// want is ask, and wants a status and a part of the answer.
func (s *server) want(status int, part, method, path, body string) {
	s.tb.Helper()
	if got, answer := s.ask(method, path, body); got != status || !strings.Contains(answer, part) {
		s.tb.Fatalf("%s %s: %d %s, want %d and %q", method, path, got, answer, status, part)
	}
}

// eventually calls look until look reports true.
func eventually(tb testing.TB, what string, look func() (bool, string)) {
	tb.Helper()
	over := time.After(patience)
	for {
		so, seen := look()
		if so {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-over:
			tb.Fatalf("not within %v: %s; seen last:\n%s", patience, what, seen)
		}
	}
}
