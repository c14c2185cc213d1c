package bustest

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/troupebus/troupe/bus/cover"
	"github.com/troupebus/troupe/bus/journal"
)

// coverFlag and coverVariable ask for coverage; package cover says how to use them.
const (
	coverFlag     = "troupe.cover"
	coverVariable = "TROUPE_COVER"
)

// started is the folder that a relative FILE is meant from, also when a test has gone elsewhere since.
var started, _ = os.Getwd()

func init() {
	if flag.Lookup(coverFlag) == nil { // a second copy of this package, such as a vendored one, would panic
		flag.String(coverFlag, "", "add which edges of the choreography were exercised to `FILE`, for 'troupe cover' (also: "+coverVariable+"); best an absolute path")
	}
}

// coverage is which edges of the choreography were exercised. It is called for every reaction of thousands of runs, some at
// the same time.
type coverage struct {
	mu    sync.Mutex
	news  *cover.Report // what is declared, and what happened since the last flush
	dirty bool          // there is something to write

	writing sync.Mutex // held by the only flush; never taken with mu held
}

// recorded is that of all runs of a test binary.
var recorded = &coverage{news: cover.New()}

// newCoverage returns the recorder for a run: all share one.
func newCoverage() *coverage { return recorded }

// declare notes what there is to exercise. A subscription that names no types watches for what others leave, as that of the
// bus for unknown events does: it has no edges of its own.
func (c *coverage) declare(subs []journal.Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range subs {
		s := &subs[i]
		if moduleOf(s.Name) == busModule {
			continue // the bus's own are not the application's
		}
		c.dirty = true
		of := c.news.Of(s.Name)
		of.Outside = of.Outside || s.Outside
		of.Declare(s.Types, s.Emits)
	}
}

// busModule is the module that the bus's own subscriptions belong to.
const busModule = "bus"

// react notes what became of a delivery, once it is on disk. A verdict without an outcome is of one that had been settled
// before.
func (c *coverage) react(d *journal.Delivery, v *journal.Verdict) {
	if v.Outcome == "" || v.Abort != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.news.Subscriptions[d.Subscription]
	if s == nil {
		return
	}
	if outcomes := s.Consumes[d.Event.Type]; outcomes != nil {
		outcomes[string(v.Outcome)]++
		c.dirty = true
	}
	if v.Outcome != journal.Done {
		return // what it would have emitted is undone
	}
	for _, e := range v.Emit {
		if _, declared := s.Emits[e.Type]; declared {
			s.Emits[e.Type]++
		}
	}
}

// fault notes what went wrong around a subscription.
func (c *coverage) fault(st *step, f fault) {
	written := f.written()
	if written == "" || st.kind == stepDo { // a unit of work belongs to a module, or to a client
		return
	}
	name := st.what
	if st.kind == stepCall {
		name = st.by
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.news.Subscriptions[name]; s != nil {
		s.Faults[written]++
		c.dirty = true
	}
}

// written is what f is called in the file, or "" when it is not in there.
func (f fault) written() cover.Fault {
	switch f {
	case faultCrashBefore:
		return cover.CrashBeforeCommit
	case faultCrashAfter:
		return cover.CrashAfterCommit
	case faultTwice:
		return cover.DeliveredTwice
	case faultFails:
		return cover.CallFailed
	case faultHangs:
		return cover.CallHung
	case faultLoses:
		return cover.AnswerLost
	default:
		return ""
	}
}

// flushCoverage adds what happened since it was last called to the file that was asked for, if one was. It waits for other
// test binaries in real time: not in a bubble of testing/synctest.
func flushCoverage() error {
	file := cmp.Or(flag.Lookup(coverFlag).Value.String(), os.Getenv(coverVariable))
	if file == "" {
		return nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(started, file)
	}
	return recorded.flush(file)
}

// flush adds what is new to the file at path. What could not be written is kept for the next time.
func (c *coverage) flush(path string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	news := c.take()
	if news == nil {
		return nil
	}
	if err := cover.Write(path, news); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.news.Merge(news)
		c.dirty = true
		return fmt.Errorf("bustest: write the coverage: %w", err)
	}
	return nil
}

// take returns what is new, or nil, and begins to count from 0 again. What is declared stays.
func (c *coverage) take() *cover.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	c.dirty = false
	taken := cover.New()
	taken.Merge(c.news)
	for _, s := range c.news.Subscriptions {
		for _, outcomes := range s.Consumes {
			clear(outcomes)
		}
		for t := range s.Emits {
			s.Emits[t] = 0
		}
		clear(s.Faults)
	}
	return taken
}
