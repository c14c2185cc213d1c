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

// coverFlag and coverVariable request coverage; see package cover.
const (
	coverFlag     = "troupe.cover"
	coverVariable = "TROUPE_COVER"
)

// started is the working directory at the start, the base for a relative file even after a test has changed the
// directory.
var started, _ = os.Getwd()

func init() {
	if flag.Lookup(coverFlag) == nil { // a second copy of the package, for example a vendored copy, would panic
		flag.String(coverFlag, "", "add the exercised edges of the choreography to `FILE`, for 'troupe cover' (also: "+coverVariable+"); use an absolute path")
	}
}

// coverage counts the exercised edges of the choreography. The methods are called for every reaction of thousands of
// runs, and may be called concurrently.
type coverage struct {
	mu        sync.Mutex
	unwritten *cover.Report // the declared edges, and the counts since the last flush
	dirty     bool          // there are counts to write

	writing sync.Mutex // held during a flush; always taken before mu
}

// recorded is the coverage of all runs of the test binary.
var recorded = &coverage{unwritten: cover.New()}

// newCoverage returns the shared recorder for a run.
func newCoverage() *coverage { return recorded }

// declare notes the edges of the subscriptions. A subscription without types, such as the bus's subscription for
// unknown events, has no edges.
func (c *coverage) declare(subs []journal.Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range subs {
		s := &subs[i]
		if journal.ModuleOf(s.Name) == busModule {
			continue // the bus's own subscriptions do not belong to the application
		}
		c.dirty = true
		edges := c.unwritten.Of(s.Name)
		edges.Outside = edges.Outside || s.Outside
		edges.Declare(s.Types, s.Emits)
	}
}

// busModule is the module of the bus's own subscriptions.
const busModule = "bus"

// react counts the outcome of a committed delivery. A verdict without an outcome belongs to a delivery that was settled
// before.
func (c *coverage) react(d *journal.Delivery, v *journal.Verdict) {
	if v.Outcome == "" || v.Abort != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.unwritten.Subscriptions[d.Subscription]
	if s == nil {
		return
	}
	if outcomes := s.Consumes[d.Event.Type]; outcomes != nil {
		outcomes[string(v.Outcome)]++
		c.dirty = true
	}
	if v.Outcome != journal.Done {
		return // the emitted events are undone
	}
	for _, e := range v.Emit {
		if _, declared := s.Emits[e.Type]; declared {
			s.Emits[e.Type]++
		}
	}
}

// fault counts a fault at a subscription.
func (c *coverage) fault(st *step, f fault) {
	written := f.written()
	if written == "" || st.kind == stepDo { // a unit of work belongs to a module, or to a client
		return
	}
	name := st.name
	if st.kind == stepCall {
		name = st.by
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.unwritten.Subscriptions[name]; s != nil {
		s.Faults[written]++
		c.dirty = true
	}
}

// written returns the name of f in the coverage file, or "" if the file does not count f.
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

// flushCoverage adds the counts since the last flush to the requested file, if there is one. The function waits for
// other test binaries in real time: do not call it in a bubble of testing/synctest.
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

// flush adds the new counts to the file at path. After an error, the counts are kept for the next flush.
func (c *coverage) flush(path string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	unwritten := c.take()
	if unwritten == nil {
		return nil
	}
	if err := cover.Write(path, unwritten); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unwritten.Merge(unwritten)
		c.dirty = true
		return fmt.Errorf("write the coverage: %w", err)
	}
	return nil
}

// take returns the new counts, or nil if there are none, and resets the counts. The declared edges stay.
func (c *coverage) take() *cover.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	c.dirty = false
	taken := cover.New()
	taken.Merge(c.unwritten)
	for _, s := range c.unwritten.Subscriptions {
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
