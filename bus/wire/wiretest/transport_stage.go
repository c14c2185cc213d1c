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

// suitePatience is how long one step may take before it counts as hanging.
const suitePatience = time.Minute

// stage is where one promise is checked: topics and groups of its own, and the processes that were started.
type stage struct {
	tb      testing.TB
	ctx     context.Context
	carrier Harness
	prefix  string
	topic   string
	started []*process
}

// process is a deployable that runs, with its transport.
type process struct {
	wire.Transport
	stage *stage
	line  *line
}

// newStage makes a stage that lasts until cancel, or until everything takes far too long.
func newStage(tb testing.TB, c Harness) (s *stage, cancel context.CancelFunc) {
	id := make([]byte, 5)
	_, _ = rand.Read(id) // never fails
	s = &stage{tb: tb, carrier: c, prefix: "t" + hex.EncodeToString(id), topic: "order"}
	s.ctx, cancel = context.WithTimeout(tb.Context(), 10*suitePatience)
	return s, cancel
}

// warmUp has one message carried. Goroutines that a driver starts once in a process, and never ends, start here.
func warmUp(tb testing.TB, c Harness) error {
	s, cancel := newStage(tb, c)
	defer cancel()
	err := s.start("sender").publish(letter("a", 0))
	if err == nil {
		err = s.readAll("reader", newLedger(map[string]int{"a": 1}))
	}
	return errors.Join(err, s.closeAll())
}

// check holds the carrier to the promise. It closes what was opened, and looks for what that has left.
func (p promise) check(tb testing.TB, c Harness) (err error) {
	s, cancel := newStage(tb, c)
	defer cancel()
	pprof.Do(s.ctx, pprof.Labels(stageLabel, s.prefix), func(ctx context.Context) {
		s.ctx = ctx
		err = errors.Join(p.keep(s), s.closeAll())
	})
	if err != nil {
		return err // what hangs has goroutines, too
	}
	return s.settle("after Close", 0)
}

// start makes a process of a group.
func (s *stage) start(group string) *process { return s.startOn(group, &line{}) }

// startOn makes a process behind a line that may be cut.
func (s *stage) startOn(group string, l *line) *process {
	var dial Dialer
	if s.carrier.CanCut {
		dial = l.dial
	}
	p := &process{stage: s, line: l, Transport: s.carrier.Open(s.tb, s.group(group), s.prefix, dial)}
	if l.broken() && s.carrier.cut != nil {
		s.carrier.cut(p.Transport, true)
	}
	s.started = append(s.started, p)
	return p
}

// group makes a group's name differ from those of other stages: not every carrier keeps groups by prefix.
func (s *stage) group(name string) string { return s.prefix + "-" + name }

// to cuts the process off, in one way or another, or mends the line.
func (p *process) to(now state) {
	p.line.to(now)
	if cut := p.stage.carrier.cut; cut != nil {
		cut(p.Transport, now != whole)
	}
}

// limited is fn, with a limit to how long it may take.
func (s *stage) limited(what string, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	limit := time.NewTimer(suitePatience)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return fmt.Errorf("%s has not returned after %v", what, suitePatience)
	}
}

// publish sends to the stage's topic.
func (p *process) publish(messages ...*message.Message) error {
	return p.stage.limited(fmt.Sprintf("Publish of %s", plural(len(messages), "message")), func() error {
		return p.Publish(p.stage.topic, messages...)
	})
}

// foreign writes past the transport. What that starts is not the transport's, and so not the stage's.
func (s *stage) foreign(m Foreign) error {
	pprof.SetGoroutineLabels(context.Background())
	defer pprof.SetGoroutineLabels(s.ctx)
	m.Prefix, m.Topic = s.prefix, s.topic
	return s.carrier.Foreign(s.tb, m)
}

// close ends the process.
func (p *process) close() error {
	return p.stage.limited("Close", p.Close)
}

// closeAll closes every process, for the second time where the check has done so.
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

// stageLabel is the label that goroutines have which were started for a stage: they inherit it.
const stageLabel = "bustest-stage"

var goroutines = regexp.MustCompile(`(?m)^(\d+) @`)

// settle waits until the stage has no more goroutines than allowed.
func (s *stage) settle(when string, allowed int) error {
	for pause := time.Millisecond; ; pause *= 2 {
		n, stacks := s.goroutines()
		if n <= allowed {
			return nil
		}
		if pause > suitePatience/4 {
			return fmt.Errorf("%s there are %d goroutines more than there may be:\n%s", when, n-allowed, stacks)
		}
		time.Sleep(pause) // nobody tells when a goroutine has ended
	}
}

// goroutines counts the goroutines that were started for the stage, and says where they are.
func (s *stage) goroutines() (n int, stacks string) {
	var buf bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&buf, 1) // a buffer takes everything
	var own []string
	for _, g := range strings.Split(buf.String(), "\n\n") {
		if !strings.Contains(g, strconv.Quote(stageLabel)+":"+strconv.Quote(s.prefix)) {
			continue
		}
		if m := goroutines.FindStringSubmatch(g); m != nil {
			count, _ := strconv.Atoi(m[1])
			n += count
		}
		own = append(own, g)
	}
	return n, strings.Join(own, "\n\n")
}
