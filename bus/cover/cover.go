// Package cover reads and writes coverage files of tests. Covered are not lines of code, but edges of the
// choreography: steps from an event to a subscription, and from a subscription to an event.
//
// Package bustest writes the file at the end of a run, if asked by the environment variable TROUPE_COVER=FILE, or by
// the flag -troupe.cover=FILE, which only packages that use bustest accept. Many test binaries may write the same
// file at the same time. Each adds its counts, so remove the file before you begin. go test runs in the directory of
// the package: for many packages, use an absolute FILE. A cached test result writes no file, hence -count=1:
//
//	rm -f cover.json; TROUPE_COVER=$PWD/cover.json go test -count=1 ./...
//	troupe cover cover.json --min 95
//
// The file is indented JSON in a stable order, for people and for comparison:
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
// The file has all declared edges: a type that was never handled has no outcomes, and an event that was never emitted
// has a count of 0. The package imports the standard library only.
//
// Package cover is a seam: a minor version may change the package, and the changelog says how.
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

// Version is the version of the file format. Read accepts no other version.
const Version = 1

// Done is the outcome that covers the edge from an event to a subscription.
const Done = "done"

// ErrFormat is wrapped by the errors of Read and Write about a file that is not a coverage file, or has another
// version.
var ErrFormat = errors.New("not a coverage file")

// Fault is a fault that a test met around a subscription, as written in the file.
type Fault string

// The faults. The first three may meet any subscription, the others a subscription that calls the outside world.
const (
	CrashBeforeCommit Fault = "crash-before-commit"
	CrashAfterCommit  Fault = "crash-after-commit"
	DeliveredTwice    Fault = "delivered-twice"
	CallFailed        Fault = "call-failed"
	CallHung          Fault = "call-hung"
	AnswerLost        Fault = "answer-lost"
)

// Report is the content of a coverage file. A Report is not safe for concurrent use. New and Read return one.
type Report struct {
	Version       int                      `json:"version"`
	Subscriptions map[string]*Subscription `json:"subscriptions"` // by name
}

// Subscription has the declared edges of a subscription, and their counts.
type Subscription struct {
	Outside  bool                        `json:"outside,omitempty"` // calls the outside world
	Consumes map[string]map[string]int64 `json:"consumes"`          // by event type and outcome; empty for a type that never came
	Emits    map[string]int64            `json:"emits"`             // by event type; 0 for a type that was never emitted
	Faults   map[Fault]int64             `json:"faults"`
}

// New returns an empty report.
func New() *Report { return &Report{Version: Version, Subscriptions: map[string]*Subscription{}} }

// Of returns the subscription called name, and adds an empty subscription if the report has none. The maps of the
// result are not nil.
func (r *Report) Of(name string) *Subscription {
	s := r.Subscriptions[name]
	if s == nil {
		s = &Subscription{Consumes: map[string]map[string]int64{}, Emits: map[string]int64{}, Faults: map[Fault]int64{}}
		r.Subscriptions[name] = s
	}
	return s
}

// Declare adds event types that s consumes and emits, and leaves the counts unchanged.
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

// Merge adds the counts of o to r. o is unchanged and shares no memory with r.
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

// Edge is a declared step of the choreography: a subscription consumes or emits an event type.
type Edge struct {
	Subscription string           `json:"subscription"`
	Type         string           `json:"type"`               // of the event
	Emitted      bool             `json:"emitted"`            // the subscription emits the type; false: consumes
	Count        int64            `json:"count"`              // number of deliveries done, or of events emitted
	Outcomes     map[string]int64 `json:"outcomes,omitempty"` // counts of other outcomes, of a consumed type
}

// side orders consumed types before emitted types.
func (e *Edge) side() int {
	if e.Emitted {
		return 1
	}
	return 0
}

// Edges returns every declared edge by subscription, consumed types before emitted types.
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
		return cmp.Or(
			cmp.Compare(a.Subscription, b.Subscription), cmp.Compare(a.side(), b.side()), cmp.Compare(a.Type, b.Type))
	})
	return edges
}

// Missing returns the edges that were never taken, in the order of Edges: a consumed type that was never done,
// whatever the other outcomes, and an emitted type that was never emitted.
func (r *Report) Missing() []Edge {
	return slices.DeleteFunc(r.Edges(), func(e Edge) bool { return e.Count > 0 })
}

// Percent returns the percentage of declared edges that were taken, or 0 without declared edges, since then no test
// ran.
func (r *Report) Percent() float64 {
	all := len(r.Edges())
	if all == 0 {
		return 0
	}
	return 100 * float64(all-len(r.Missing())) / float64(all)
}

// NeverMet returns the faults that may meet s and never did, in the order of the constants.
func (s *Subscription) NeverMet() []Fault {
	faults := []Fault{CrashBeforeCommit, CrashAfterCommit, DeliveredTwice}
	if s.Outside {
		faults = append(faults, CallFailed, CallHung, AnswerLost)
	}
	return slices.DeleteFunc(faults, func(f Fault) bool { return s.Faults[f] > 0 })
}

// Read reads the file at path. The error wraps fs.ErrNotExist without a file, and ErrFormat when the file is not a
// coverage file.
func Read(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found Report
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrFormat, err)
	}
	if found.Version != Version {
		return nil, fmt.Errorf("%s: %w of version %d, but of %d", path, ErrFormat, Version, found.Version)
	}
	r := New()
	r.Merge(&found)
	return r, nil
}

// Write adds r to the file at path, or creates the file. Concurrent readers see the old or the new file. Concurrent
// writers take turns by a lock file, path + ".lock", so that no counts are lost. Write waits for its turn for up to 30
// s of real time: do not call Write in a bubble of testing/synctest. The error wraps ErrFormat when the file is not a
// coverage file; the file is then unchanged.
func Write(path string, r *Report) (err error) {
	unlock, err := lock(path + ".lock")
	if err != nil {
		return err
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
	return replace(path, all)
}

// replace replaces the file at path by r.
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
	err = errors.Join(err, f.Chmod(0o644), f.Close()) // CreateTemp makes files that only the owner can read
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Limits of waiting for a turn. A turn takes milliseconds, so a lock older than staleAfter belongs to a killed process.
const (
	waitLimit  = 30 * time.Second
	staleAfter = 10 * time.Second
)

// lock creates the file at path, and waits while the file exists. Two processes that find the lock of a killed process
// within the same microseconds may both take over; then a report may lack the counts of either.
func lock(path string) (unlock func() error, err error) {
	for deadline := time.Now().Add(waitLimit); ; {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			return func() error { return os.Remove(path) }, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		info, err := os.Stat(path)
		switch {
		case err == nil && time.Since(info.ModTime()) > staleAfter:
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		case time.Now().After(deadline):
			return nil, fmt.Errorf("%s has been there for %v: remove it if no test is running", path, waitLimit)
		default:
			time.Sleep(time.Millisecond + rand.N(4*time.Millisecond))
		}
	}
}
