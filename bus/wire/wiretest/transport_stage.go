package wiretest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// suitePatience is the limit for a step. A longer step counts as hanging.
const suitePatience = time.Minute

// stage is the environment for the check of a promise: topics and groups of its own, and the started processes.
type stage struct {
	tb      testing.TB
	ctx     context.Context
	harness Harness
	prefix  string
	topic   string
	started []*process
}

// process is a running deployable with its transport.
type process struct {
	wire.Transport
	stage *stage
	line  *line
}

// newStage returns a stage that lasts until cancel, or until the check takes far too long.
func newStage(tb testing.TB, h Harness) (s *stage, cancel context.CancelFunc) {
	id := make([]byte, 5)
	_, _ = rand.Read(id) // never fails
	s = &stage{tb: tb, harness: h, prefix: "t" + hex.EncodeToString(id), topic: "order"}
	s.ctx, cancel = context.WithTimeout(tb.Context(), 10*suitePatience)
	return s, cancel
}

// warmUp carries a message. A driver starts its permanent goroutines now.
func warmUp(tb testing.TB, h Harness) error {
	s, cancel := newStage(tb, h)
	defer cancel()
	err := s.start("sender").publish(letter("a", 0))
	if err == nil {
		err = s.readAll("reader", newLedger(map[string]int{"a": 1}))
	}
	return errors.Join(err, s.closeAll())
}

// check checks the promise, closes all processes, and looks for leaked goroutines.
func (p promise) check(tb testing.TB, h Harness) (err error) {
	s, cancel := newStage(tb, h)
	defer cancel()
	pprof.Do(s.ctx, pprof.Labels(stageLabel, s.prefix), func(ctx context.Context) {
		s.ctx = ctx
		err = errors.Join(p.keep(s), s.closeAll())
	})
	if err != nil {
		return err // a hanging call has goroutines, too
	}
	return s.settle("after Close", 0)
}

// start starts a process of a group.
func (s *stage) start(group string) *process { return s.startOn(group, &line{}) }

// startOn starts a process behind a line.
func (s *stage) startOn(group string, l *line) *process {
	var dial Dialer
	if s.harness.CanCut {
		dial = l.dial
	}
	p := &process{stage: s, line: l, Transport: s.harness.Open(s.tb, s.group(group), s.prefix, dial)}
	if l.broken() && s.harness.cut != nil {
		s.harness.cut(p.Transport, true)
	}
	s.started = append(s.started, p)
	return p
}

// group returns a unique group name, since some backends do not keep groups by prefix.
func (s *stage) group(name string) string { return s.prefix + "-" + name }

// to cuts the process off, or connects the process again.
func (p *process) to(now state) {
	p.line.to(now)
	if cut := p.stage.harness.cut; cut != nil {
		cut(p.Transport, now != whole)
	}
}

// limited runs fn with a time limit.
func (s *stage) limited(call string, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	limit := time.NewTimer(suitePatience)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return fmt.Errorf("%s has not returned after %v", call, suitePatience)
	}
}

// publish sends to the stage's topic.
func (p *process) publish(messages ...*message.Message) error {
	return p.stage.limited(fmt.Sprintf("Publish of %s", plural(len(messages), "message")), func() error {
		return p.Publish(p.stage.topic, messages...)
	})
}

// foreign writes without the transport. The goroutines of Foreign are not the transport's, and lose its label.
func (s *stage) foreign(m Foreign) error {
	pprof.SetGoroutineLabels(context.Background())
	defer pprof.SetGoroutineLabels(s.ctx)
	m.Prefix, m.Topic = s.prefix, s.topic
	return s.harness.Foreign(s.tb, m)
}

func (p *process) close() error {
	return p.stage.limited("Close", p.Close)
}

// closeAll closes every process, some for the second time.
func (s *stage) closeAll() error {
	var errs []error
	for _, p := range s.started {
		p.to(whole)
		if err := p.close(); err != nil {
			errs = append(errs, fmt.Errorf("close at the end: %w", err))
		}
	}
	return errors.Join(errs...)
}

// stageLabel is the profiler label of the stage's goroutines. Goroutines inherit labels.
const stageLabel = "wiretest-stage"

var goroutines = regexp.MustCompile(`(?m)^(\d+) @`)

// settle waits until the stage has at most allowed goroutines.
func (s *stage) settle(when string, allowed int) error {
	for pause := time.Millisecond; ; pause *= 2 {
		n, stacks := s.goroutines()
		if n <= allowed {
			return nil
		}
		if pause > suitePatience/4 {
			return fmt.Errorf("%s there are %d goroutines too many:\n%s", when, n-allowed, stacks)
		}
		time.Sleep(pause) // the end of a goroutine cannot be awaited
	}
}

// goroutines returns the number and the stacks of the stage's goroutines.
func (s *stage) goroutines() (n int, stacks string) {
	var buf bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&buf, 1) // a buffer never fails
	var found []string
	for _, g := range strings.Split(buf.String(), "\n\n") {
		if !strings.Contains(g, strconv.Quote(stageLabel)+":"+strconv.Quote(s.prefix)) {
			continue
		}
		if m := goroutines.FindStringSubmatch(g); m != nil {
			count, _ := strconv.Atoi(m[1])
			n += count
		}
		found = append(found, g)
	}
	return n, strings.Join(found, "\n\n")
}
