package torture

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/owner"
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

// startOwnerBy starts a victim on the journal at path, by clock c.
func (r *run) startOwnerBy(c *disk.Clock, path string, args ...string) (*owner.Owner, error) {
	r.started++
	args = append([]string{"serve", "--journal", path, "--outside", r.outside}, args...)
	return owner.Start(exec.Command(r.machine.victim, args...), fmt.Sprintf("%s/owner-%d.log", r.folder, r.started),
		func(cmd *exec.Cmd) error { return r.launch(c, cmd) })
}

// launch starts cmd on the run's disk, by clock c.
func (r *run) launch(c *disk.Clock, cmd *exec.Cmd) error {
	if r.machine.noDisk != nil {
		return cmd.Start()
	}
	return r.disk.StartBy(c, cmd, r.machine.victim, "through")
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
	if !owner.End(p.cmd.Process, p.ended, signal, stopLimit) {
		r.find("stop", "%s did not end within %v of signal %v", name, stopLimit, signal)
	}
}

// freezeProcess stops a process for a while, and returns at once.
func (r *run) freezeProcess(p *process, d time.Duration) {
	_ = p.cmd.Process.Signal(owner.Pause)
	r.beside.Go(func() {
		pause.For(r.ctx, d)
		_ = p.cmd.Process.Signal(owner.Resume)
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
