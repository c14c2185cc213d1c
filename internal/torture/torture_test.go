package torture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/internal/torture"
	"github.com/troupebus/troupe/internal/torture/story"
)

// settings come from environment variables, so that make can set them.
type settings struct {
	length time.Duration // TROUPE_TORTURE: time to run; if empty, the test is skipped
	seed   uint64        // TROUPE_TORTURE_SEED: seed of the first schedule
	kind   string        // TROUPE_TORTURE_KIND: only schedules of this kind; if empty, all kinds take turns
	replay string        // TROUPE_TORTURE_REPLAY: a schedule as a line
	all    bool          // TROUPE_TORTURE_ALL: continue after a finding, do not shrink, and print when each finding was first seen
	keep   string        // TROUPE_TORTURE_KEEP: a folder for the files of the first schedules with a finding
	at     int           // TROUPE_TORTURE_AT: schedules at a time; by default two for each processor
}

func mustSettings(t *testing.T) settings {
	t.Helper()
	env := func(name string) string { return os.Getenv("TROUPE_TORTURE" + name) }
	s := settings{
		seed: rand.Uint64() >> 1, kind: env("_KIND"), replay: env("_REPLAY"), all: env("_ALL") != "", keep: env("_KEEP"),
		at: 2 * runtime.NumCPU(),
	}
	var err error
	if s.length, err = time.ParseDuration(env("")); err != nil && s.replay == "" {
		t.Skip("TROUPE_TORTURE is not set to how long, such as 10m: `make torture` sets it")
	}
	for name, read := range map[string]func(string) error{
		"_SEED": func(v string) (err error) { s.seed, err = strconv.ParseUint(v, 10, 64); return err },
		"_AT":   func(v string) (err error) { s.at, err = strconv.Atoi(v); return err },
	} {
		if v := env(name); v != "" {
			if err := read(v); err != nil {
				t.Fatalf("TROUPE_TORTURE%s: %v", name, err)
			}
		}
	}
	return s
}

// TestTorture runs schedules until its time is over, or a schedule has a finding.
func TestTorture(t *testing.T) {
	s := mustSettings(t)
	m, err := torture.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if skipped := m.Skipped(); skipped != "" {
		t.Logf("SKIPPED: %s", skipped)
	}
	h := &hunt{
		settings: s, machine: m, folder: t.TempDir(), began: time.Now(), first: map[string]string{}, kinds: map[string]*counted{},
	}
	if s.replay != "" {
		schedule, err := story.Parse(s.replay)
		if err != nil {
			t.Fatal(err)
		}
		h.try(t, t.Context(), schedule)
		return
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var watch sync.WaitGroup
	watch.Go(func() { h.progress(t, ctx) })
	schedules := make(chan story.Schedule)
	var workers sync.WaitGroup
	for range s.at {
		workers.Go(func() {
			for schedule := range schedules {
				if h.try(t, ctx, schedule) && !s.all {
					stop()
				}
			}
		})
	}
	kinds := m.Kinds()
	if s.kind != "" {
		kinds = []string{s.kind}
	}
	for n := 0; ctx.Err() == nil && time.Since(h.began) < s.length; n++ {
		schedule, err := story.Draw(s.seed+uint64(n), kinds[n%len(kinds)])
		if err != nil {
			t.Error(err)
			break
		}
		select {
		case schedules <- schedule:
		case <-ctx.Done():
		}
	}
	close(schedules)
	workers.Wait()
	stop()
	watch.Wait()
	t.Log(h.table())
}

// hunt counts schedules and findings.
type hunt struct {
	settings
	machine *torture.Machine
	folder  string // for the files of schedules
	began   time.Time

	mu    sync.Mutex
	kinds map[string]*counted
	first map[string]string // time of the first finding, by kind and class
	kept  int

	accusing sync.Mutex
	told     bool // a finding has failed the test; guarded by accusing
}

// counted has the numbers of a kind of schedules.
type counted struct {
	schedules, found int
	tally            torture.Tally
}

// try runs a schedule, and reports whether it has a finding. Only the files of schedules with a finding are kept.
func (h *hunt) try(t *testing.T, ctx context.Context, s story.Schedule) bool {
	began := time.Now()
	folder, err := os.MkdirTemp(h.folder, fmt.Sprint("seed-", s.Seed, "-"))
	if err != nil {
		t.Error(err)
		return true
	}
	defer func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	}()
	out, err := h.machine.Run(ctx, s, folder)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		t.Errorf("seed %d: %v", s.Seed, err)
		return true
	}
	h.note(s, out)
	if len(out.Findings) == 0 {
		return false
	}
	h.keepFiles(t, s, folder)
	if h.all {
		t.Logf("run %d, %v after the start, took %v\n%s", h.total().schedules, h.since(), time.Since(began).Round(time.Millisecond),
			story.Text(s, out.Findings))
		return true
	}
	h.accusing.Lock()
	defer h.accusing.Unlock()
	if !h.told {
		h.told = h.accuse(t, s, out.Findings)
	}
	return h.told
}

const mostKept = 5

// keepFiles copies the files of a schedule with a finding, unless enough schedules are kept.
func (h *hunt) keepFiles(t *testing.T, s story.Schedule, folder string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keep == "" || h.kept == mostKept {
		return
	}
	h.kept++
	to := filepath.Join(h.keep, fmt.Sprintf("%s-%d-%d", s.Kind, s.Seed, h.began.Unix()))
	if err := os.CopyFS(to, os.DirFS(folder)); err != nil { // not every entry is a file or a folder
		t.Logf("not all files are kept: %v", err)
	}
	t.Logf("its files are in %s", to)
}

const shrinkTime = 5 * time.Minute

// limits are the classes of findings about a limit of time or memory. On a busy computer, a limit can be exceeded
// once.
var limits = []string{"clock", "late", "log", "machine", "memory", "stall", "start", "stop", "twins", "unanswered", "unnoticed", "waited"}

// accuse fails the test with the story of a finding, as short as possible, and returns true. If a limit was exceeded
// once, but not again when the story was repeated, accuse prints a line and returns false.
func (h *hunt) accuse(t *testing.T, s story.Schedule, findings []story.Finding) bool {
	t.Logf("found something, and shrinks it now:\n%s", story.Text(s, findings))
	shorter, again := h.machine.Shrink(t.Context(), s, findings[0].Class, shrinkTime)
	switch {
	case again:
		t.Error(story.Text(shorter, findings))
	case slices.ContainsFunc(findings, func(f story.Finding) bool { return !slices.Contains(limits, f.Class) }):
		t.Errorf("%s(not found again when it was repeated)", story.Text(s, findings))
	default:
		fmt.Printf("NOT CHECKED: torture, kind %s, seed %d: a limit (%s) was exceeded, and not again when the story was repeated\n",
			s.Kind, s.Seed, findings[0].Class)
		return false
	}
	return true
}

func (h *hunt) note(s story.Schedule, out torture.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.kinds[s.Kind]
	if k == nil {
		k = &counted{tally: torture.Tally{}}
		h.kinds[s.Kind] = k
	}
	k.schedules++
	k.tally.Add(out.Tally)
	if len(out.Findings) > 0 {
		k.found++
	}
	for _, f := range out.Findings {
		what := s.Kind + ": " + f.Class
		if h.first[what] == "" {
			h.first[what] = fmt.Sprintf("run %d of the kind, %v after the start, seed %d", k.schedules, h.since(), s.Seed)
		}
	}
}

// progress prints a line now and then, less often the longer the test runs.
func (h *hunt) progress(t *testing.T, ctx context.Context) {
	for pause := 15 * time.Second; ; pause = min(pause*3/2, 5*time.Minute) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			total := h.total()
			t.Logf("%v: %d schedules, %d of them found something; %s", h.since(), total.schedules, total.found, total.tally)
		}
	}
}

func (h *hunt) since() time.Duration { return time.Since(h.began).Round(time.Second) }

// total adds the numbers of all kinds.
func (h *hunt) total() counted {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := counted{tally: torture.Tally{}}
	for _, k := range h.kinds {
		all.schedules += k.schedules
		all.found += k.found
		all.tally.Add(k.tally)
	}
	return all
}

// table returns the numbers of all kinds, and the time of each first finding.
func (h *hunt) table() string {
	total := h.total()
	h.mu.Lock()
	defer h.mu.Unlock()
	var lines []string
	for kind, k := range h.kinds {
		lines = append(lines, fmt.Sprintf("%-16s %4d schedules, %d found something; %s", kind, k.schedules, k.found, k.tally))
	}
	slices.Sort(lines)
	var found []string
	for what, when := range h.first {
		found = append(found, what+": "+when)
	}
	slices.Sort(found)
	return fmt.Sprintf("%d schedules in %v from seed %d on, %d found something; %s\n%s",
		total.schedules, h.since(), h.seed, total.found, total.tally, strings.Join(append(lines, found...), "\n"))
}
