package torture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/internal/torture"
)

// settings come from variables, so that make can hand them on.
type settings struct {
	length time.Duration // TROUPE_TORTURE: how long; without it the test is skipped
	seed   uint64        // TROUPE_TORTURE_SEED: of the first schedule
	kind   string        // TROUPE_TORTURE_KIND: only schedules of this kind
	replay string        // TROUPE_TORTURE_REPLAY: one schedule, as a line
	all    bool          // TROUPE_TORTURE_ALL: go on after a finding, shrink nothing, and print what was found how soon
	keep   string        // TROUPE_TORTURE_KEEP: a folder that keeps the files of what found something
	at     int           // TROUPE_TORTURE_AT: schedules at a time
}

func mustSettings(t *testing.T) settings {
	t.Helper()
	env := func(name string) string { return os.Getenv("TROUPE_TORTURE" + name) }
	s := settings{seed: rand.Uint64() >> 1, kind: env("_KIND"), replay: env("_REPLAY"), all: env("_ALL") != "", keep: env("_KEEP"), at: 2}
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

// TestTorture runs schedules until its time is over, or one finds something.
func TestTorture(t *testing.T) {
	s := mustSettings(t)
	m, err := torture.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if skipped := m.Skipped(); skipped != "" {
		t.Logf("SKIPPED: %s", skipped)
	}
	h := &hunt{settings: s, machine: m, began: time.Now(), first: map[string]string{}, runs: map[string]int{}}
	if s.replay != "" {
		schedule, err := torture.ParseSchedule(s.replay)
		if err != nil {
			t.Fatal(err)
		}
		h.try(t, t.Context(), schedule)
		return
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	seeds := make(chan uint64)
	var workers sync.WaitGroup
	for range s.at {
		workers.Go(func() {
			for seed := range seeds {
				schedule, err := torture.Draw(seed, s.kind)
				if err != nil {
					t.Error(err)
					stop()
					return
				}
				if h.try(t, ctx, schedule) && !s.all {
					stop()
				}
			}
		})
	}
	for seed := s.seed; ctx.Err() == nil && time.Since(h.began) < s.length; seed++ {
		select {
		case seeds <- seed:
		case <-ctx.Done():
		}
	}
	close(seeds)
	workers.Wait()
	t.Log(h.table())
}

// hunt counts what was run and found.
type hunt struct {
	settings
	machine *torture.Machine
	began   time.Time

	mu    sync.Mutex
	runs  map[string]int    // by kind
	first map[string]string // by kind and class: when it was found first
	told  bool
}

// try runs one schedule, and reports whether it found something.
func (h *hunt) try(t *testing.T, ctx context.Context, s torture.Schedule) bool {
	began := time.Now()
	parent := t.TempDir()
	if h.keep != "" {
		parent = h.keep
	}
	folder, err := os.MkdirTemp(parent, fmt.Sprint("seed-", s.Seed, "-"))
	if err != nil {
		t.Error(err)
		return true
	}
	findings, err := h.machine.Run(ctx, s, folder)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		t.Errorf("seed %d: %v", s.Seed, err)
		return true
	}
	h.note(s, findings)
	if len(findings) == 0 {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
		t.Logf("seed %d, %s: %d steps, held, %v", s.Seed, s.Kind, len(s.Steps), time.Since(began).Round(time.Millisecond))
		return false
	}
	if h.all {
		t.Logf("%v\n%s", time.Since(began).Round(time.Millisecond), torture.Story(s, findings))
		return true
	}
	h.mu.Lock()
	mine := !h.told
	h.told = true
	h.mu.Unlock()
	if mine {
		h.accuse(t, s, findings)
	}
	return true
}

const shrinkTime = 5 * time.Minute

// accuse tells the story of a finding, as short as it gets.
func (h *hunt) accuse(t *testing.T, s torture.Schedule, findings []torture.Finding) {
	t.Logf("found something, and shrinks it now:\n%s", torture.Story(s, findings))
	shorter, again := h.machine.Shrink(t.Context(), s, findings[0].Class, shrinkTime)
	if !again {
		t.Errorf("%s(not found again when it was repeated)", torture.Story(s, findings))
		return
	}
	t.Error(torture.Story(shorter, findings))
}

func (h *hunt) note(s torture.Schedule, findings []torture.Finding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs[s.Kind]++
	for _, f := range findings {
		what := s.Kind + ": " + f.Class
		if h.first[what] == "" {
			h.first[what] = fmt.Sprintf("run %d of the kind, %v after the start, seed %d", h.runs[s.Kind], time.Since(h.began).Round(time.Second), s.Seed)
		}
	}
}

// table is how much was run, and what was found when.
func (h *hunt) table() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lines []string
	total := 0
	for kind, n := range h.runs {
		lines = append(lines, fmt.Sprintf("%s: %d schedules", kind, n))
		total += n
	}
	for what, when := range h.first {
		lines = append(lines, what+": "+when)
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d schedules in %v from seed %d on\n%s", total, time.Since(h.began).Round(time.Second), h.seed, strings.Join(lines, "\n"))
}
