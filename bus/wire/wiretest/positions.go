package wiretest

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/wire"
)

// Positions checks a transport whose positions are kept at the backend: the promises of wire.WithMemory,
// wire.ErrReplaced and wire.Features.Claim. Transport checks the other promises. Positions requires Harness.Forget and
// Harness.CanCut. A topic must have a single partition, since problems are reported for each partition.
func Positions(t *testing.T, h Harness) {
	if err := warmUp(t, h); err != nil {
		t.Fatalf("the transport does not carry a single message, so no other check ran: %v", err)
	}
	t.Run("positions", func(t *testing.T) { // waits for its parallel subtests
		for _, p := range positionPromises {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				if err := p.check(t, h); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

var positionPromises = []promise{
	{"a position that is forgotten", nothing, checkForgotten},
	{"a journal that is restored", nothing, checkRestored},
	{"a restored journal that grows before it can read", cutting, checkGrown},
	{"a journal of another identity", nothing, checkOtherJournal},
	{"trouble is reported until it is acknowledged", nothing, checkReportedAgain},
	{"two processes on copies of a journal", nothing, checkTwins},
	{"two processes on copies of a journal that only send", nothing, checkSenders},
	{"a backend that cannot be reached replaces no process", cutting, checkClaimAway},
	{"a process that starts again on its journal", nothing, checkNoTwin},
}

// readAs begins to read for a journal.
func (p *process) readAs(m *Memory) *reading {
	r := p.read()
	r.ctx = wire.WithMemory(r.ctx, m)
	return r
}

// expect reads until all letters have come, and acknowledges each. Other messages are an error. Trouble, unless "",
// must be reported before, and no other trouble.
func (r *reading) expect(trouble string, letters ...string) error {
	need, known, reported := map[string]bool{}, map[string]bool{}, trouble == ""
	for _, id := range letters {
		need[id], known[id] = true, true
	}
	for len(need) > 0 {
		msg, err := r.next(func() string { return fmt.Sprintf("missing %v", need) })
		if err != nil {
			return err
		}
		switch text := msg.Metadata[wire.MetaTrouble]; {
		case text != "" && (trouble == "" || !strings.Contains(text, trouble)):
			return fmt.Errorf("the trouble is %q, want %q", text, trouble)
		case text != "":
			reported = true
		case !reported:
			return fmt.Errorf("message %s comes before the trouble %q", msg.UUID, trouble)
		case !known[msg.UUID]: // a letter may come again
			return fmt.Errorf("message %s comes, want %v", msg.UUID, need)
		}
		delete(need, msg.UUID)
		msg.Ack()
	}
	return nil
}

// readAsUntil reads all letters for a journal in a new process, after trouble, and ends the process.
func (s *stage) readAsUntil(m *Memory, trouble string, letters ...string) error {
	p := s.start("reader")
	r := p.readAs(m)
	if err := r.expect(trouble, letters...); err != nil {
		return err
	}
	return errors.Join(r.end(), p.close())
}

func ids(from, to int) (all []string) {
	for n := from; n < to; n++ {
		all = append(all, letterID("a", n))
	}
	return all
}

// send sends the letters [from, to) from a new process, and tries again until the transport accepts.
func (s *stage) send(from, to int) error {
	p := s.start("sender")
	for began := time.Now(); ; {
		err := p.publish(letters("a", from, to)...)
		if err == nil || time.Since(began) > suitePatience {
			return errors.Join(err, p.close())
		}
	}
}

// forget deletes a position. The goroutines of Forget do not belong to the transport, so they lose the stage's label.
func (s *stage) forget(group string) {
	pprof.SetGoroutineLabels(context.Background())
	defer pprof.SetGoroutineLabels(s.ctx)
	s.harness.Forget(s.tb, s.group(group), s.prefix, s.topic)
}

// checkForgotten deletes a position at the backend that the journal still has.
func checkForgotten(s *stage) error {
	m := NewMemory("j", 1)
	if err := errors.Join(s.send(0, 5), s.readAsUntil(m, "", ids(0, 5)...)); err != nil {
		return err
	}
	s.forget("reader")
	return errors.Join(s.send(5, 8), s.readAsUntil(m, "", ids(5, 8)...))
}

const restored = "it ends at seq 15, and had 20: it is restored from a backup"

// restore reads a topic for a journal, and returns a backup without half of the read messages.
func (s *stage) restore() (backup *Memory, err error) {
	m := NewMemory("j", 15)
	err = errors.Join(s.send(0, 3), s.readAsUntil(m, "", ids(0, 3)...))
	backup = m.Copy()
	m.Grow(20)
	return backup, errors.Join(err, s.send(3, 6), s.readAsUntil(m, "", ids(3, 6)...))
}

// checkRestored restores a journal from a backup: the journal must read again from the backup's position.
func checkRestored(s *stage) error {
	backup, err := s.restore()
	if err != nil {
		return err
	}
	if err := s.readAsUntil(backup, restored, ids(3, 6)...); err != nil {
		return err
	}
	return errors.Join(s.send(6, 8), s.readAsUntil(backup, "", ids(6, 8)...))
}

// checkGrown lets a restored journal grow before the backend can be reached.
func checkGrown(s *stage) error {
	backup, err := s.restore()
	if err != nil {
		return err
	}
	p := s.startOn("reader", &line{})
	p.to(refused)
	r := p.readAs(backup)
	if r.in, err = p.Subscribe(r.ctx, s.topic); err == nil {
		return errors.New("Subscribe succeeds while the backend cannot be reached")
	}
	backup.Grow(30)
	p.to(whole)
	return errors.Join(r.expect(restored, ids(3, 6)...), r.end())
}

// checkOtherJournal lets another journal continue under the same name.
func checkOtherJournal(s *stage) error {
	if err := errors.Join(s.send(0, 4), s.readAsUntil(NewMemory("one", 7), "", ids(0, 4)...)); err != nil {
		return err
	}
	other := NewMemory("two", 99)
	if err := s.readAsUntil(other, "is that of another journal, one", ids(0, 4)...); err != nil {
		return err
	}
	return errors.Join(s.send(4, 5), s.readAsUntil(other, "", ids(4, 5)...))
}

// checkReportedAgain ends processes before the trouble is acknowledged. The last process acknowledges only the trouble.
func checkReportedAgain(s *stage) error {
	backup, err := s.restore()
	if err != nil {
		return err
	}
	for n := range 3 {
		p := s.start("reader")
		r := p.readAs(backup)
		msg, err := r.next(func() string { return "missing the trouble" })
		if err != nil {
			return err
		}
		text := msg.Metadata[wire.MetaTrouble]
		if !strings.Contains(text, restored) {
			return fmt.Errorf("message %s comes with the trouble %q, want %q", msg.UUID, text, restored)
		}
		if n == 2 {
			msg.Ack()
		}
		if err := errors.Join(r.end(), p.close()); err != nil {
			return err
		}
	}
	return s.readAsUntil(backup, "", ids(3, 6)...)
}

// checkTwins runs two processes on copies of a journal: the older process must stop for good.
func checkTwins(s *stage) error {
	m := NewMemory("j", 3)
	older := s.start("reader")
	r := older.readAs(m)
	if err := errors.Join(s.send(0, 3), r.expect("", ids(0, 3)...)); err != nil {
		return err
	}
	newer := s.start("reader")
	second := newer.readAs(m.Copy())
	going := make(chan error, 1)
	go func() { going <- second.subscribe() }()
	if err := r.closes("another process reads on a copy of its journal"); err != nil {
		return err
	}
	if err := <-going; err != nil {
		return fmt.Errorf("the newer process: %w", err)
	}
	for range 2 {
		if _, err := older.Subscribe(r.ctx, s.topic); !replaced(err) {
			return fmt.Errorf("the older process subscribes, and gets %w", orNil(err))
		}
	}
	if err := older.publish(letter("a", 3)); !replaced(err) {
		return fmt.Errorf("the older process publishes, and gets %w", orNil(err))
	}
	if err := s.send(3, 5); err != nil {
		return err
	}
	return errors.Join(second.until(letterID("a", 4)), second.end())
}

// replaced reports whether err names the replacement by another process, and the remedy.
func replaced(err error) bool {
	return errors.Is(err, wire.ErrReplaced) && strings.Contains(err.Error(), "copy of this journal")
}

// orNil returns err, or an error instead of nil, for %w.
func orNil(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// checkSenders runs processes that only send, on copies of a journal.
func checkSenders(s *stage) error {
	older, newer, third := s.start("sender"), s.start("sender"), s.start("sender")
	claim := func(p *process, m *Memory) error { return p.Features().Claim(s.ctx, s.topic, m) }
	m := NewMemory("j", 3)
	if err := errors.Join(claim(older, m), claim(older, m), claim(newer, m.Copy())); err != nil {
		return err
	}
	for range 2 {
		if err := claim(older, m); !replaced(err) {
			return fmt.Errorf("the older process claims, and gets %w", orNil(err))
		}
	}
	if err := older.publish(letter("a", 0)); !replaced(err) {
		return fmt.Errorf("the older process publishes, and gets %w", orNil(err))
	}
	backup := s.start("sender")
	if err := errors.Join(claim(newer, m), claim(backup, NewMemory("j", 2))); err != nil {
		return err
	}
	if w := backup.Features().Warnings()[s.topic]; !strings.Contains(w, "ends at seq 2, and had 3") {
		return fmt.Errorf("the warning about an older journal is %q", w)
	}
	if err := claim(third, NewMemory("another", 0)); err != nil {
		return fmt.Errorf("a process on another journal: %w", err)
	}
	return backup.publish(letter("a", 1))
}

// checkNoTwin kills processes, and starts others on the same, grown journal. Each process subscribes twice.
func checkNoTwin(s *stage) error {
	m := NewMemory("j", 3)
	for n := range 4 {
		p := s.start("reader")
		for half := range 2 {
			if err := s.send(2*n+half, 2*n+half+1); err != nil {
				return err
			}
			r := p.readAs(m)
			if err := r.until(letterID("a", 2*n+half)); err != nil {
				return err
			}
			m.Grow(m.Head() + 10)
			if half == 0 {
				if err := r.end(); err != nil {
					return err
				}
			}
		}
		p.to(refused)
	}
	return nil
}

// until reads and acknowledges until a letter has come. There must be no trouble.
func (r *reading) until(id string) error {
	for {
		msg, err := r.next(func() string { return "missing " + id })
		if err != nil {
			return err
		}
		if text := msg.Metadata[wire.MetaTrouble]; text != "" {
			return fmt.Errorf("the trouble is %q, want none", text)
		}
		msg.Ack()
		if msg.UUID == id {
			return nil
		}
	}
}

// checkClaimAway claims while the backend is away, after another process has claimed.
func checkClaimAway(s *stage) error {
	m := NewMemory("j", 3)
	first, second := s.start("sender"), s.start("sender")
	claim := func(p *process) error { return p.Features().Claim(s.ctx, s.topic, m) }
	if err := claim(first); err != nil {
		return err
	}
	second.to(refused)
	for range 2 {
		if err := claim(second); err == nil || errors.Is(err, wire.ErrReplaced) {
			return fmt.Errorf("while the backend cannot be reached, a process claims, and gets %w", orNil(err))
		}
	}
	second.to(whole)
	for began := time.Now(); ; {
		err := claim(second)
		if err == nil {
			break
		}
		if errors.Is(err, wire.ErrReplaced) || time.Since(began) > suitePatience {
			return fmt.Errorf("when the backend is back, the later process claims, and gets %w", err)
		}
	}
	if err := claim(first); !replaced(err) {
		return fmt.Errorf("the older process claims, and gets %w", orNil(err))
	}
	return nil
}
