package torture

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/troupebus/troupe/internal/pause"
)

// process is a long-running troupe command.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   string
}

// spawn starts troupe with args. The log file is named after name.
func (r *run) spawn(name string, args ...string) (*process, error) {
	r.started++
	p := &process{ended: make(chan struct{}), log: fmt.Sprintf("%s/%s-%d.log", r.folder, name, r.started)}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has a descriptor of its own
	p.cmd = exec.Command(r.machine.troupe, args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = log, log, r.folder
	if err := r.launch(r.clock, p.cmd); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // the log has the reason
		close(p.ended)
	}()
	return p, nil
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// endProcess ends a process with a signal, and reports a process that needs longer than stopLimit.
func (r *run) endProcess(name string, p *process, signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal) // the process may have ended
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		r.find("stop", "%s did not end within %v of signal %v", name, stopLimit, signal)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// freezeProcess stops a process for a while, and returns at once.
func (r *run) freezeProcess(p *process, d time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	r.beside.Go(func() {
		pause.For(r.ctx, d)
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
	})
}

// ended reports whether a command ended in time and without a crash.
func (r *run) ended(line string, res result) bool {
	said := clip(res.err, 500)
	switch {
	case res.late:
		r.find("late", "%s did not end within %v: %s", line, commandLimit, said)
	case strings.Contains(res.err, "goroutine ") || strings.Contains(res.err, "panic:") || res.code < 0 || res.code > 2:
		r.find("crash", "%s: exit code %d: %s", line, res.code, said)
	default:
		return true
	}
	return false
}
