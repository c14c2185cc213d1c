package torture

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

	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/talk"
)

// owner is a victim that serves a journal.
type owner struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	up    chan struct{} // closed when the victim is up
	ended chan struct{} // closed when the process has ended; after that, err is set
	err   error
	log   string // path of the log

	mu      sync.Mutex
	next    int
	waiting map[int]chan talk.Answer // closed without an answer when the process ends
	frozen  sync.WaitGroup
}

// startOwner starts a victim on the journal at path.
func (r *run) startOwner(path string, args ...string) (*owner, error) {
	return r.startOwnerBy(r.clock, path, args...)
}

// startOwnerBy starts a victim by clock c.
func (r *run) startOwnerBy(c *disk.Clock, path string, args ...string) (*owner, error) {
	r.started++
	o := &owner{up: make(chan struct{}), ended: make(chan struct{}), waiting: map[int]chan talk.Answer{}, log: fmt.Sprintf("%s/owner-%d.log", r.folder, r.started)}
	args = append([]string{"serve", "--journal", path, "--outside", r.outside}, args...)
	o.cmd = exec.Command(r.machine.victim, args...)
	log, err := os.Create(o.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has a descriptor of its own
	o.cmd.Stderr = log
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.launch(c, o.cmd); err != nil {
		return nil, err
	}
	go o.read(out)
	return o, nil
}

// launch starts cmd on the run's disk, by clock c.
func (r *run) launch(c *disk.Clock, cmd *exec.Cmd) error {
	if r.machine.noDisk != nil {
		return cmd.Start()
	}
	return r.disk.StartBy(c, cmd, r.machine.victim, "through")
}

// read reads the answers of the process until the process ends.
func (o *owner) read(out io.Reader) {
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
	o.err = o.cmd.Wait()
	o.mu.Lock()
	for _, c := range o.waiting {
		close(c)
	}
	o.waiting = nil
	o.mu.Unlock()
	close(o.ended)
}

// ask sends a request. The channel gets the answer, or is closed when the process ends without an answer.
func (o *owner) ask(req talk.Request) <-chan talk.Answer {
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

// answer sends a request and waits for the answer. It reports false when the process ends first, or after limit.
func (o *owner) answer(req talk.Request, limit time.Duration) (talk.Answer, bool) {
	select {
	case a, ok := <-o.ask(req):
		return a, ok
	case <-time.After(limit):
		return talk.Answer{}, false
	}
}

func (o *owner) alive() bool {
	select {
	case <-o.ended:
		return false
	default:
		return true
	}
}

func (o *owner) isUp() bool {
	select {
	case <-o.up:
		return true
	default:
		return false
	}
}

// awaitUp waits at most limit, and reports whether the process came up.
func (o *owner) awaitUp(limit time.Duration) bool {
	select {
	case <-o.up:
		return true
	case <-o.ended:
	case <-time.After(limit):
	}
	return o.isUp() // up and ended may both be closed
}

func (o *owner) kill() {
	_ = o.cmd.Process.Kill() // the process may have ended
	<-o.ended
}

// stop ends the process with SIGTERM. If the process takes longer than stopLimit, stop kills it with SIGQUIT, so that
// the log has the stacks, and returns false.
func (o *owner) stop() bool {
	_ = o.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-o.ended:
		return true
	case <-time.After(stopLimit):
	}
	_ = o.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-o.ended:
	case <-time.After(stopLimit):
		o.kill()
	}
	return false
}

// freeze stops the process for a while, and returns at once.
func (o *owner) freeze(d time.Duration) {
	_ = o.cmd.Process.Signal(syscall.SIGSTOP)
	o.frozen.Go(func() {
		select {
		case <-time.After(d):
			_ = o.cmd.Process.Signal(syscall.SIGCONT)
		case <-o.ended:
		}
	})
}

// peak returns the most memory that the process had resident, in bytes, or 0 where the number is not known.
func (o *owner) peak() int64 {
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

func (o *owner) lastWords() string { return lastWords(o.log) }

// lastWords returns the end of a process's log.
func lastWords(log string) string {
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
