package torture

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/broker"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/story"
)

// Machine runs schedules. It has the binaries, and knows the abilities of this computer.
type Machine struct {
	troupe, victim string
	noDisk         error // why disks always work here
	noClock        error // why clocks are always right here
}

// Build compiles the binaries into folder.
func Build(ctx context.Context, folder string) (*Machine, error) {
	broker.AllowLarge()
	m := &Machine{troupe: filepath.Join(folder, "troupe"), victim: filepath.Join(folder, "victim"), noDisk: disk.Available()}
	for path, pkg := range map[string]string{m.troupe: "cmd/troupe", m.victim: "internal/torture/victim"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/troupebus/troupe/"+pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("torture: build %s: %w\n%s", pkg, err, out)
		}
	}
	m.noClock = m.tryClock(folder)
	return m, nil
}

// tryClock returns why clocks cannot be stepped here, or nil.
func (m *Machine) tryClock(folder string) error {
	if m.noDisk != nil {
		return m.noDisk
	}
	d, err := disk.New(folder)
	if err != nil {
		return err
	}
	var c disk.Clock
	c.Step(time.Hour)
	out := strings.Builder{}
	cmd := exec.Command(m.victim, "now")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := d.StartBy(&c, cmd, m.victim, "through"); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, out.String())
	}
	micros, err := strconv.ParseInt(strings.TrimSpace(out.String()), 10, 64)
	if off := time.Since(time.UnixMicro(micros)); err != nil || off > -30*time.Minute {
		return fmt.Errorf("with a clock that is an hour ahead, a process prints the time %q", out.String())
	}
	return nil
}

// Skipped returns a text about the faults that this computer cannot cause, or "".
func (m *Machine) Skipped() string {
	switch {
	case m.noDisk != nil:
		return "disks that fail and clocks that step: " + m.noDisk.Error()
	case m.noClock != nil:
		return "clocks that step: " + m.noClock.Error()
	}
	return ""
}

// Kinds returns the names of the kinds that can run here. Kinds that need a server are included where the environment
// names the server.
func (m *Machine) Kinds() []string {
	var names []string
	for _, k := range story.Kinds {
		server := story.Servers[k.Name]
		if server == "" || os.Getenv(server) != "" {
			names = append(names, k.Name)
		}
	}
	return names
}

// Limits of time. They are generous: a process that exceeds a limit is stuck.
const (
	startLimit   = 30 * time.Second // of a start with a good disk
	stopLimit    = 30 * time.Second
	commandLimit = 40 * time.Second
	stallLimit   = 30 * time.Second // without progress, while work is open
	quietLimit   = 15 * time.Minute // in all
	waitLimit    = 8 * time.Second  // of a publisher, beyond its own context, on a machine that is not busy
	goneLimit    = 1500 * time.Millisecond
)

// Limits of size, for a journal at rest without readers.
const (
	logLimit    = 64 << 20
	memoryLimit = 512 << 20
)

// Outcome is the result of a schedule.
type Outcome struct {
	Findings []story.Finding // without repetitions
	Tally    Tally
}

// Run runs s in folder, which must be empty, and returns the promises that did not hold.
func (m *Machine) Run(ctx context.Context, s story.Schedule, folder string) (Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := m.prepare(ctx, s, folder)
	if err != nil {
		return Outcome{}, err
	}
	defer r.end()
	if err := r.carryOut(); err != nil {
		return Outcome{}, err
	}
	return Outcome{r.results(), r.tallied()}, ctx.Err()
}

// carryOut runs the schedule in the way of its kind, and checks the journals.
func (r *run) carryOut() error {
	s := r.schedule
	go r.watchMachine()
	if s.Kind == story.OverBroker || story.Servers[s.Kind] != "" {
		a, err := newAcross(r)
		if err != nil {
			return err
		}
		a.play()
		return nil
	}
	if s.Kind == "shop" || s.Kind == "wire" || s.Kind == "moves" {
		shop, err := newShop(r)
		if err != nil {
			return err
		}
		shop.play()
		r.count("acknowledged", shop.accepted())
		return nil
	}
	r.play()
	if r.lost() == "" && !r.has("stall", "start", "stop", "clock") {
		r.audit()
	}
	return nil
}

// watchMachine measures how late a timer of this process fires.
func (r *run) watchMachine() {
	for r.ctx.Err() == nil {
		began := time.Now()
		pause.For(r.ctx, pace)
		r.mu.Lock()
		r.lag = max(r.lag, time.Since(began)-pace)
		r.mu.Unlock()
	}
}

// prepare makes the folder of the disk.
func (m *Machine) prepare(ctx context.Context, s story.Schedule, folder string) (*run, error) {
	live := filepath.Join(folder, "disk")
	if err := os.Mkdir(live, 0o700); err != nil {
		return nil, err
	}
	d, err := disk.New(live)
	if err != nil {
		return nil, err
	}
	r := &run{
		machine: m, schedule: s, ctx: ctx, folder: folder, path: filepath.Join(live, "j.db"), outside: filepath.Join(folder, "outside"), disk: d,
		model: model{found: map[story.Finding]bool{}, tally: Tally{}},
	}
	r.clock = r.steppedClock()
	return r, nil
}
