// Package cover is the file in which tests keep what they exercised: not lines of code but edges of the choreography,
// and what is made of it.
//
// Package bustest writes it, at the end of each of its runs, when it is asked to: the environment variable
// TROUPE_COVER=FILE, or the flag -troupe.cover=FILE, which only packages that use bustest know. Many test binaries may
// write the same file, at the same time; each adds to what is there, so remove the file before you begin. go test runs in
// the package's directory, and a relative FILE is meant from there: for many packages an absolute one is best. A test
// result that comes from go's cache writes nothing, hence -count=1:
//
//	rm -f cover.json; TROUPE_COVER=$PWD/cover.json go test -count=1 ./...
//	troupe cover cover.json --min 95
//
// The file is JSON, in an order that depends on nothing but what is in it, indented, made to be read and compared:
//
//	{
//	  "version": 1,
//	  "subscriptions": {
//	    "inventory/reserve-stock": {
//	      "consumes": {"order.placed": {"done": 12, "retrying": 1}},
//	      "emits": {"inventory.reserved": 11, "inventory.short": 0},
//	      "faults": {"crash-after-commit": 2}
//	    }
//	  }
//	}
//
// What is declared is there before it has happened: a type that was never handled has no outcomes, an event that was never
// emitted a count of 0. The package imports the standard library, nothing else.
package cover

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Version is that of the file's format, which this package writes, and the only one that it reads.
const Version = 1

// Done is the outcome that makes the edge from an event to a subscription a covered one.
const Done = "done"

// ErrFormat is wrapped by the errors of Read and Write about a file that is there, but is not a coverage file, or is one of
// another version.
var ErrFormat = errors.New("not a coverage file")

// Fault is something that went wrong around a subscription, as it is written in the file.
type Fault string

// The faults. The first three may meet any subscription, the others one that calls the outside world.
const (
	CrashBeforeCommit Fault = "crash-before-commit"
	CrashAfterCommit  Fault = "crash-after-commit"
	DeliveredTwice    Fault = "delivered-twice"
	CallFailed        Fault = "call-failed"
	CallHung          Fault = "call-hung"
	AnswerLost        Fault = "answer-lost"
)

// Report is what is in the file. It is not safe for concurrent use. A new one comes from New or Read.
type Report struct {
	Version       int                      `json:"version"`
	Subscriptions map[string]*Subscription `json:"subscriptions"` // by name
}

// Subscription is what is declared about a subscription, and how often it happened.
type Subscription struct {
	Outside  bool                        `json:"outside,omitempty"` // it calls the outside world
	Consumes map[string]map[string]int64 `json:"consumes"`          // by event type and outcome; without outcomes when it never came
	Emits    map[string]int64            `json:"emits"`             // by event type; 0 when it never came
	Faults   map[Fault]int64             `json:"faults"`
}

// New returns a report of nothing.
func New() *Report { return &Report{Version: Version, Subscriptions: map[string]*Subscription{}} }

// Of returns the subscription called name for counting, one of which nothing is known yet when it is not there. Its maps
// are not nil.
func (r *Report) Of(name string) *Subscription {
	s := r.Subscriptions[name]
	if s == nil {
		s = &Subscription{Consumes: map[string]map[string]int64{}, Emits: map[string]int64{}, Faults: map[Fault]int64{}}
		r.Subscriptions[name] = s
	}
	return s
}

// Declare notes that s consumes and emits these event types, and leaves what is counted as it is.
func (s *Subscription) Declare(consumes, emits []string) {
	for _, t := range consumes {
		if s.Consumes[t] == nil {
			s.Consumes[t] = map[string]int64{}
		}
	}
	for _, t := range emits {
		s.Emits[t] += 0
	}
}

// Merge adds what is in o to r. o stays as it is, and shares nothing with r.
func (r *Report) Merge(o *Report) {
	for name, from := range o.Subscriptions {
		if from == nil {
			continue
		}
		to := r.Of(name)
		to.Outside = to.Outside || from.Outside
		to.Declare(slices.Collect(maps.Keys(from.Consumes)), nil)
		for t, outcomes := range from.Consumes {
			add(to.Consumes[t], outcomes)
		}
		add(to.Emits, from.Emits)
		add(to.Faults, from.Faults)
	}
}

func add[K comparable](to, from map[K]int64) {
	for k, n := range from {
		to[k] += n
	}
}

// Edge is a declared step of the choreography: a subscription that consumes an event type, or one that emits it.
type Edge struct {
	Subscription string           `json:"subscription"`
	Type         string           `json:"type"`               // of the event
	Emitted      bool             `json:"emitted"`            // by the subscription; otherwise it consumes it
	Count        int64            `json:"count"`              // how often it was done, or emitted; 0 means never taken
	Outcomes     map[string]int64 `json:"outcomes,omitempty"` // how else it ended, where it is consumed
}

// side puts what a subscription consumes before what it emits.
func (e *Edge) side() int {
	if e.Emitted {
		return 1
	}
	return 0
}

// Edges returns every declared edge, by subscription, what it consumes before what it emits.
func (r *Report) Edges() []Edge {
	var edges []Edge
	for name, s := range r.Subscriptions {
		for t, outcomes := range s.Consumes {
			other := maps.Clone(outcomes)
			delete(other, Done)
			edges = append(edges, Edge{Subscription: name, Type: t, Count: outcomes[Done], Outcomes: other})
		}
		for t, n := range s.Emits {
			edges = append(edges, Edge{Subscription: name, Type: t, Emitted: true, Count: n})
		}
	}
	slices.SortFunc(edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Subscription, b.Subscription), cmp.Compare(a.side(), b.side()), cmp.Compare(a.Type, b.Type))
	})
	return edges
}

// Missing returns the edges that were never taken: an event type that its subscription never handled, whatever else became
// of it, and one that was never emitted. They are in the order of Edges.
func (r *Report) Missing() []Edge {
	return slices.DeleteFunc(r.Edges(), func(e Edge) bool { return e.Count > 0 })
}

// Percent is how many of 100 declared edges were taken. It is 0 when none is declared: no test ran.
func (r *Report) Percent() float64 {
	all := len(r.Edges())
	if all == 0 {
		return 0
	}
	return 100 * float64(all-len(r.Missing())) / float64(all)
}

// NeverMet returns the faults that may meet s and never did, in the order in which they are declared above.
func (s *Subscription) NeverMet() []Fault {
	faults := []Fault{CrashBeforeCommit, CrashAfterCommit, DeliveredTwice}
	if s.Outside {
		faults = append(faults, CallFailed, CallHung, AnswerLost)
	}
	return slices.DeleteFunc(faults, func(f Fault) bool { return s.Faults[f] > 0 })
}

// Read reads the file at path. The error wraps fs.ErrNotExist when there is none, and ErrFormat when it is something else.
func Read(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cover: %w", err)
	}
	var found Report
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, fmt.Errorf("cover: %s: %w: %w", path, ErrFormat, err)
	}
	if found.Version != Version {
		return nil, fmt.Errorf("cover: %s: %w of version %d, but of %d", path, ErrFormat, Version, found.Version)
	}
	r := New()
	r.Merge(&found)
	return r, nil
}

// Write adds r to what is in the file at path, and makes the file when it is not there. Readers see the old file or the new
// one, and nothing is lost when others write at the same time: they take turns by path + ".lock". It waits for its turn for
// half a minute at most, in real time: not in a bubble of testing/synctest. The error wraps ErrFormat when there is something
// else at path, which is left alone.
func Write(path string, r *Report) (err error) {
	unlock, err := lock(path + ".lock")
	if err != nil {
		return fmt.Errorf("cover: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	all, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		all, err = New(), nil
	}
	if err != nil {
		return err
	}
	all.Merge(r)
	if err := replace(path, all); err != nil {
		return fmt.Errorf("cover: %w", err)
	}
	return nil
}

// replace puts r in the place of the file at path.
func replace(path string, r *Report) (err error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Chmod(0o644), f.Close()) // CreateTemp's files are for their owner alone; reports are for everybody
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Limits of waiting for a turn. A turn takes milliseconds, so a lock of abandoned age belongs to a process that was killed.
const (
	patience  = 30 * time.Second
	abandoned = 10 * time.Second
)

// lock makes the file at path when nobody else has it. Of a lock left by a killed process, two that find it in the same
// microseconds might both think that they took it over; what that can cost is one of two runs in a report.
func lock(path string) (unlock func() error, err error) {
	for deadline := time.Now().Add(patience); ; {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			return func() error { return os.Remove(path) }, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		info, err := os.Stat(path)
		switch {
		case err == nil && time.Since(info.ModTime()) > abandoned:
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		case time.Now().After(deadline):
			return nil, fmt.Errorf("%s has been there for %v: remove it if no test is running", path, patience)
		default:
			time.Sleep(time.Millisecond + rand.N(4*time.Millisecond))
		}
	}
}
