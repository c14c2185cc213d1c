// Package owner runs a victim of the torture test that serves a journal, and asks for its acts.
package owner

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/troupebus/troupe/internal/torture/talk"
)

// Owner is a victim that serves a journal.
type Owner struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	up    chan struct{} // closed when the victim is up
	ended chan struct{} // closed when the process has ended
	log   string        // path of the log

	mu      sync.Mutex
	next    int
	waiting map[int]chan talk.Answer // closed without an answer when the process ends
	frozen  sync.WaitGroup
}

// Start starts cmd, a victim that serves a journal, with launch. The log at path gets the victim's errors.
func Start(cmd *exec.Cmd, path string, launch func(*exec.Cmd) error) (*Owner, error) {
	o := &Owner{
		cmd: cmd, log: path, up: make(chan struct{}), ended: make(chan struct{}), waiting: map[int]chan talk.Answer{},
	}
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has a descriptor of its own
	cmd.Stderr = log
	if o.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := launch(cmd); err != nil {
		return nil, err
	}
	go o.read(out)
	return o, nil
}

// read reads the answers of the process until the process ends.
func (o *Owner) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a talk.Answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue
		}
		if a.Kind == talk.Up {
			close(o.up)
			continue
		}
		o.mu.Lock()
		c := o.waiting[a.ID]
		delete(o.waiting, a.ID)
		o.mu.Unlock()
		if c != nil {
			c <- a
		}
	}
	_ = o.cmd.Wait() // the log has the reason
	o.mu.Lock()
	for _, c := range o.waiting {
		close(c)
	}
	o.waiting = nil
	o.mu.Unlock()
	close(o.ended)
}

// Ask sends a request. The channel gets the answer, or is closed when the process ends without an answer.
func (o *Owner) Ask(req talk.Request) <-chan talk.Answer {
	c := make(chan talk.Answer, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting == nil {
		close(c)
		return c
	}
	o.next++
	req.ID = o.next
	line, err := json.Marshal(req)
	if err == nil {
		_, err = o.in.Write(append(line, '\n'))
	}
	if err != nil { // the process is ending
		close(c)
		return c
	}
	o.waiting[req.ID] = c
	return c
}

// Answer sends a request and waits for the answer. It reports false when the process ends first, or after limit.
func (o *Owner) Answer(req talk.Request, limit time.Duration) (talk.Answer, bool) {
	select {
	case a, ok := <-o.Ask(req):
		return a, ok
	case <-time.After(limit):
		return talk.Answer{}, false
	}
}

// Alive reports whether the process runs.
func (o *Owner) Alive() bool {
	select {
	case <-o.ended:
		return false
	default:
		return true
	}
}

// IsUp reports whether the process ever came up.
func (o *Owner) IsUp() bool {
	select {
	case <-o.up:
		return true
	default:
		return false
	}
}

// AwaitUp waits at most limit, and reports whether the process came up.
func (o *Owner) AwaitUp(limit time.Duration) bool {
	select {
	case <-o.up:
		return true
	case <-o.ended:
	case <-time.After(limit):
	}
	return o.IsUp() // up and ended may both be closed
}

// Kill ends the process with SIGKILL.
func (o *Owner) Kill() {
	_ = o.cmd.Process.Kill() // the process may have ended
	<-o.ended
}

// Stop ends the process with SIGTERM, within limit; see End.
func (o *Owner) Stop(limit time.Duration) bool {
	return End(o.cmd.Process, o.ended, syscall.SIGTERM, limit)
}

// End ends a process with a signal. If the process takes longer than limit, End kills the process with SIGQUIT, so that
// its log has the stacks, and returns false.
func End(p *os.Process, ended <-chan struct{}, signal syscall.Signal, limit time.Duration) bool {
	_ = p.Signal(signal) // the process may have ended
	select {
	case <-ended:
		return true
	case <-time.After(limit):
	}
	_ = p.Signal(syscall.SIGQUIT)
	defer time.AfterFunc(limit, func() { _ = p.Kill() }).Stop()
	<-ended
	return false
}

// AwaitThaw waits until the process is not frozen any more.
func (o *Owner) AwaitThaw() { o.frozen.Wait() }

// Ended returns a channel that is closed when the process has ended.
func (o *Owner) Ended() <-chan struct{} { return o.ended }

// Logged reports whether the log has text.
func (o *Owner) Logged(text string) bool {
	log, err := os.ReadFile(o.log)
	return err == nil && strings.Contains(string(log), text)
}

// Freeze stops the process for a while, and returns at once.
func (o *Owner) Freeze(d time.Duration) {
	_ = o.cmd.Process.Signal(Pause)
	o.frozen.Go(func() {
		select {
		case <-time.After(d):
			_ = o.cmd.Process.Signal(Resume)
		case <-o.ended:
		}
	})
}

// Peak returns the most memory that the process had resident, in bytes, or 0 where the number is not known.
func (o *Owner) Peak() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}

// LastWords returns the end of the log.
func (o *Owner) LastWords() string { return LastWords(o.log) }

// LastWords returns the end of a process's log.
func LastWords(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	const most = 600
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(string(b))
}
