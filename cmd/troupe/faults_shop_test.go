package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// everything are the modules of a deployable that runs all modules.
const everything = "all"

// deployed is a shop whose deployables are separate processes.
type deployed struct {
	dir, binary string

	mu    sync.Mutex
	all   []*deployable
	wrong []string // mistakes found meanwhile, for the next audit
}

// deploy changes the deployables of the shop. None of them may run.
func (s *deployed) deploy(all ...*deployable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = all
}

// environ returns this process's environment without settings.
func (s *deployed) environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TROUPE_") })
}

// complain records a mistake. Goroutines that outlive a test use it.
func (s *deployed) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// mustHaveNoComplaints fails the test with the recorded mistakes.
func (s *deployed) mustHaveNoComplaints(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, what := range s.wrong {
		tb.Error(what)
	}
	if len(s.wrong) > 0 {
		tb.FailNow()
	}
}

// deployable is a deployable: its process is killed and started again, its journal and its log stay.
type deployable struct {
	shop    *deployed
	modules string   // separated by commas
	journal string   // path
	args    []string // that name the transport

	mu   sync.Mutex
	runs *process
	took []time.Duration // time from each start to the announcement
}

// process is one run of a deployable.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	url   string        // set after up
	up    chan struct{} // closed when the process has announced its address
	ended chan struct{} // closed when the process has ended
	err   error         // of the process; set after ended
	asked bool          // the test has asked for the end
}

// add adds a deployable that does not run yet.
func (s *deployed) add(modules, journal string, args ...string) *deployable {
	d := &deployable{shop: s, modules: modules, journal: filepath.Join(s.dir, journal), args: args}
	s.all = append(s.all, d)
	return d
}

// runningModule returns the deployable that runs module.
func (s *deployed) runningModule(module string) *deployable {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.all {
		if d.modules == everything || d.modules == module {
			return d
		}
	}
	panic("no deployable runs " + module)
}

func (s *deployed) journals() []string {
	var paths []string
	for _, d := range s.all {
		paths = append(paths, d.journal)
	}
	return paths
}

// MustStart starts all deployables, and waits until they are up.
func (s *deployed) MustStart(tb testing.TB) {
	tb.Helper()
	for _, d := range s.all {
		d.MustStart(tb)
	}
	for _, d := range s.all {
		d.mustBeUp(tb)
	}
}

// MustStop stops all deployables with SIGTERM, and waits until they have ended.
func (s *deployed) MustStop(tb testing.TB) {
	tb.Helper()
	var ending sync.WaitGroup
	for _, d := range s.all {
		ending.Go(func() { d.stop(tb) })
	}
	ending.Wait()
}

// kill ends all deployables at the end of a test.
func (s *deployed) kill() {
	for _, d := range s.all {
		d.kill()
	}
}

// MustStart starts a process, and does not wait until it is up.
func (d *deployable) MustStart(tb testing.TB) {
	tb.Helper()
	log, err := os.OpenFile(d.journal+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		tb.Fatal(err)
	}
	p := &process{began: time.Now(), up: make(chan struct{}), ended: make(chan struct{})}
	args := append([]string{"run", "--json", "--journal", d.journal, "--modules", d.modules, "--http", "127.0.0.1:0", "--latency", "5ms"}, d.args...)
	p.cmd = exec.Command(d.shop.binary, args...)
	p.cmd.Stderr, p.cmd.Env = log, d.shop.environ()
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	d.mu.Lock()
	d.runs = p
	d.mu.Unlock()
	go func() {
		var said struct{ URL string }
		if err := json.NewDecoder(out).Decode(&said); err == nil {
			d.announced(p, said.URL)
		}
		err := p.cmd.Wait() // no more output follows
		_ = log.Close()
		d.over(p, err)
	}()
}

func (d *deployable) announced(p *process, url string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.url = url
	d.took = append(d.took, time.Since(p.began))
	close(p.up)
}

// over records that p has ended. A process must not end by itself.
func (d *deployable) over(p *process, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.err = err; !p.asked {
		d.shop.complain("%s ended by itself: %v\n%s", d.modules, err, d.tail(20))
	}
	close(p.ended)
}

// url returns the address of the deployable, or "" while it does not run.
func (d *deployable) url() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.runs; p != nil && !p.asked {
		return p.url
	}
	return ""
}

// mustBeUp waits until the process has announced its address.
func (d *deployable) mustBeUp(tb testing.TB) {
	tb.Helper()
	select {
	case <-d.runs.up:
	case <-d.runs.ended:
		tb.Fatalf("%s does not start: %v\n%s", d.modules, d.runs.err, d.tail(20))
	case <-time.After(time.Minute):
		tb.Fatalf("%s does not start\n%s", d.modules, d.tail(20))
	}
}

// kill ends the process as a power cut does, and returns "starting" or "working".
func (d *deployable) kill() string {
	p := d.ask()
	if p == nil {
		return ""
	}
	_ = p.cmd.Process.Kill() // the process may have ended
	<-p.ended
	select {
	case <-p.up:
		return "working"
	default:
		return "starting"
	}
}

// stop ends the process as an operator does.
func (d *deployable) stop(tb testing.TB) {
	tb.Helper()
	p := d.ask()
	if p == nil {
		return
	}
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if err != nil {
		tb.Error(err)
	}
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // so that the log has the stacks
		<-p.ended
		tb.Errorf("%s does not stop\n%s", d.modules, d.tail(200))
		return
	}
	if p.err != nil {
		tb.Errorf("%s, stopped: %v\n%s", d.modules, p.err, d.tail(20))
	}
}

// ask records that the test asks for the end of the process, and returns the process, or nil.
func (d *deployable) ask() *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.runs
	if p != nil {
		p.asked = true
	}
	d.runs = nil
	return p
}

// tail returns the end of the log.
func (d *deployable) tail(lines int) string {
	text, err := os.ReadFile(d.journal + ".log")
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	last := all[max(0, len(all)-lines):]
	return fmt.Sprintf("the log of %s ends:\n\t%s", d.modules, bytes.Join(last, []byte("\n\t")))
}

// said returns how often text is in all logs.
func (s *deployed) said(what string) (times int) {
	for _, d := range s.all {
		text, _ := os.ReadFile(d.journal + ".log") // a missing log has no text
		times += bytes.Count(text, []byte(what))
	}
	return times
}

// tails returns the ends of all logs.
func (s *deployed) tails(lines int) string {
	var text []string
	for _, d := range s.all {
		text = append(text, d.tail(lines))
	}
	return strings.Join(text, "\n")
}
