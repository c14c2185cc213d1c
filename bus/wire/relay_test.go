package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

var quiet = slog.New(slog.DiscardHandler)

// pass lets virtual time pass, and waits until nobody can go on without more of it.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// feed has events until it is closed.
type feed struct {
	mu     sync.Mutex
	events []*journal.Event
	passed int64
	more   chan struct{}
}

func newFeed(events ...*journal.Event) *feed {
	for i, e := range events {
		e.Seq = int64(i + 1)
	}
	return &feed{events: events, more: make(chan struct{}, 1)}
}

func (f *feed) Next(ctx context.Context, limit int) ([]*journal.Event, error) {
	f.mu.Lock()
	n := min(limit, len(f.events))
	out := f.events[:n]
	f.events = f.events[n:]
	f.mu.Unlock()
	if n > 0 {
		return out, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (f *feed) Passed(seq int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed = seq
}

func (f *feed) Lag() int64 { return 0 }

func (f *feed) at() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passed
}

// fickle is a transport that takes what take says of each try, and fails when that is not all.
type fickle struct {
	message.Subscriber
	mu    sync.Mutex
	tries int
	take  func(try int, topic string, msgs []*message.Message) (taken []*message.Message, err error)
	got   map[string][]*message.Message
}

func (f *fickle) Publish(topic string, msgs ...*message.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	taken, err := f.take(f.tries, topic, msgs)
	if f.got == nil {
		f.got = map[string][]*message.Message{}
	}
	f.got[topic] = append(f.got[topic], taken...)
	return err
}

func (f *fickle) Close() error { return nil }

func (f *fickle) tried() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries
}

func (f *fickle) sent(topic string) []*message.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got[topic]
}

func numbered(n int, key, kind string) *journal.Event {
	return &journal.Event{ID: fmt.Sprint(n), Type: kind, Version: 1, Source: "order", Key: key, CorrelationID: "f", Time: time.UnixMicro(int64(n)).UTC()}
}

func runRelay(t *testing.T, f *feed, p *fickle, take func(context.Context, []*journal.Event) error) *Relay {
	ctx, cancel := context.WithCancel(t.Context())
	r := NewRelay(RelayConfig{Feed: f, Publisher: p, Name: "events", Logger: quiet, Take: take, Topic: func(e *journal.Event) string { return e.Source }})
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestTheRelayTriesUntilAllOfABatchIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(numbered(1, "a", "t"), numbered(2, "b", "t"), numbered(3, "a", "t"))
		away := errors.New("the broker is away")
		p := &fickle{take: func(try int, _ string, msgs []*message.Message) ([]*message.Message, error) {
			if try < 100 {
				return msgs[1:2], away
			}
			return msgs, nil
		}}
		r := runRelay(t, f, p, nil)
		synctest.Wait()
		if l := r.Link(); !errors.Is(l.Err, away) || l.Since.IsZero() || !l.Out || f.at() != 0 {
			t.Errorf("in trouble: %+v, passed %d", l, f.at())
		}
		began := time.Now()
		pass(time.Minute)
		if n := p.tried(); n > 30 {
			t.Errorf("%d tries in a minute: it spins", n)
		}
		pass(time.Hour)
		if l := r.Link(); l.Err != nil || f.at() != 3 || p.tried() != 100 {
			t.Errorf("after %v: %+v, passed %d, %d tries", time.Since(began), l, f.at(), p.tried())
		}
	})
}

// What the transport refuses is kept, and holds up nothing. The journal that cannot keep it holds up everything.
func TestTheRelayGoesOnWithoutWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(numbered(1, "a", "t"), numbered(2, "a", "large"), numbered(3, "a", "t"), numbered(4, "b", "large"))
		p := &fickle{take: func(_ int, _ string, msgs []*message.Message) ([]*message.Message, error) {
			for i, msg := range msgs {
				if msg.Metadata["ce_type"] == "large" {
					return nil, fmt.Errorf("publish: %w", &Refused{At: i, Err: errors.New("too large")})
				}
			}
			return msgs, nil
		}}
		st := &store{fails: 3}
		r := runRelay(t, f, p, st.take)
		synctest.Wait()
		if l := r.Link(); !errors.Is(l.Err, journal.ErrUnavailable) || f.at() != 0 {
			t.Errorf("while the journal refuses: %+v, passed %d", l, f.at())
		}
		pass(time.Minute)
		if l := r.Link(); l.Err != nil || f.at() != 4 {
			t.Errorf("%+v, passed %d", l, f.at())
		}
		if sent := p.sent("order"); len(sent) != 2 || sent[0].UUID != "1" || sent[1].UUID != "3" {
			t.Errorf("sent %v", sent)
		}
		kept := st.all()
		if len(kept) != 2 || kept[0].ID != "2" || kept[0].Type != UnsentType || kept[0].Key != "a" || kept[0].CorrelationID != "f" || kept[0].CausationID != "2" {
			t.Fatalf("kept %+v", kept)
		}
		p.take = func(_ int, _ string, msgs []*message.Message) ([]*message.Message, error) { return msgs, nil }
		if err := Resend(t.Context(), p, kept[1]); err != nil {
			t.Error(err)
		}
		want := Encode(numbered(4, "b", "large"))
		if got := p.sent("order")[2]; got.UUID != "4" || !maps.Equal(got.Metadata, want.Metadata) || string(got.Payload) != string(want.Payload) {
			t.Errorf("sent again: %q %v, want %v", got.UUID, got.Metadata, want.Metadata)
		}
	})
}

func TestARelayThatMayLeaveOutNothingStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(numbered(1, "a", "t"))
		p := &fickle{take: func(int, string, []*message.Message) ([]*message.Message, error) {
			return nil, &Refused{Err: errors.New("too large")}
		}}
		r := runRelay(t, f, p, nil)
		pass(time.Minute)
		if l := r.Link(); l.Err == nil || f.at() != 0 {
			t.Errorf("%+v, passed %d", l, f.at())
		}
	})
}

func TestTheRelayLeavesOutWhatHasNoTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs := numbered(2, "a", "t")
		theirs.Source = ""
		f := newFeed(numbered(1, "a", "t"), theirs)
		p := &fickle{take: func(_ int, _ string, msgs []*message.Message) ([]*message.Message, error) { return msgs, nil }}
		runRelay(t, f, p, nil)
		synctest.Wait()
		if len(p.sent("order")) != 1 || len(p.sent("")) != 0 || f.at() != 2 {
			t.Errorf("sent %v and %v, passed %d", p.sent("order"), p.sent(""), f.at())
		}
	})
}

// A call that hangs holds up no shutdown.
func TestTheRelayLeavesAHungCallBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		p := &fickle{take: func(int, string, []*message.Message) ([]*message.Message, error) { <-release; return nil, nil }}
		r := NewRelay(RelayConfig{Feed: newFeed(numbered(1, "a", "t")), Publisher: p, Logger: quiet, Topic: func(*journal.Event) string { return "x" }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A transport may take only the first ones of a batch, of each key another number. Those of one key arrive in order all the same.
func TestNoEventOvertakesOneOfItsKey(t *testing.T) {
	events := func() (all []*journal.Event) {
		for n := range 8 {
			all = append(all, numbered(n, string(rune('a'+n%2)), "t"))
		}
		return all
	}
	for taken := range 25 { // of a, and of b
		synctest.Test(t, func(t *testing.T) {
			most := map[string]int{"a": taken / 5, "b": taken % 5}
			p := &fickle{take: func(try int, _ string, msgs []*message.Message) (first []*message.Message, err error) {
				n := map[string]int{}
				for _, msg := range msgs {
					if n[Key(msg)]++; try > 1 || n[Key(msg)] <= most[Key(msg)] {
						first = append(first, msg)
					}
				}
				if len(first) < len(msgs) {
					err = errors.New("not all")
				}
				return first, err
			}}
			runRelay(t, newFeed(events()...), p, nil)
			pass(time.Minute)
			s, st := &spout{in: make(chan []*message.Message, 1), fail: errors.New("over")}, &store{}
			s.in <- p.sent("order")
			runIngest(t, s, st)
			pass(time.Minute)
			last := map[string]string{}
			for _, e := range st.all() {
				if e.ID < last[e.Key] {
					t.Errorf("of %v at first: %s came before %s", most, last[e.Key], e.ID)
				}
				last[e.Key] = e.ID
			}
			if n := len(st.all()); n != 8 {
				t.Errorf("of %v at first: %d of 8 arrived", most, n)
			}
		})
	}
}

// A relay that has nothing to send finds out all the same whether there is somebody to send to.
func TestTheRelayTriesAtItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("the broker is away")
		back := make(chan struct{})
		p := &fickle{take: func(_ int, topic string, msgs []*message.Message) ([]*message.Message, error) {
			if topic != "order" || len(msgs) > 0 {
				t.Errorf("%d messages are sent to %q", len(msgs), topic)
			}
			select {
			case <-back:
				return nil, nil
			default:
				return nil, away
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		r := NewRelay(RelayConfig{Feed: newFeed(), Publisher: p, Name: "events", Logger: quiet, Try: "order", Topic: func(e *journal.Event) string { return e.Source }})
		if err := r.Link().Err; !errors.Is(err, ErrNotYet) {
			t.Errorf("before it runs: %v", err)
		}
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		pass(time.Second)
		if l := r.Link(); !errors.Is(l.Err, away) || l.Since.IsZero() {
			t.Errorf("while the broker is away: %+v", l)
		}
		close(back)
		pass(time.Minute)
		if l := r.Link(); l.Err != nil {
			t.Errorf("when it is back: %v", l.Err)
		}
		tries := p.tried()
		pass(time.Hour)
		if p.tried() != tries {
			t.Errorf("it is tried %d times more", p.tried()-tries)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// What can be told again is left out where it is refused, the rest goes on, and the link says so.
func TestARelayThatSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(numbered(1, "a", "t"), numbered(2, "a", "t"), numbered(3, "a", "t"))
		p := &skipped{}
		r := NewRelay(RelayConfig{Feed: f, Publisher: p, Name: "_records", Logger: quiet, Skip: true, Topic: func(*journal.Event) string { return "_records" }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		pass(time.Minute)
		if l := r.Link(); l.Err == nil || !strings.Contains(l.Err.Error(), "resend from its journal") || f.passed != 3 || !slices.Equal(p.sent, []string{"1", "3"}) {
			t.Errorf("sent %v up to %d, and the link says %v", p.sent, f.passed, l.Err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// skipped is a publisher that refuses the message called 2.
type skipped struct{ sent []string }

func (s *skipped) Publish(_ string, msgs ...*message.Message) error {
	for i, m := range msgs {
		if m.UUID == "2" {
			return &Refused{At: i, Err: errors.New("too large")}
		}
	}
	for _, m := range msgs {
		s.sent = append(s.sent, m.UUID)
	}
	return nil
}

func (s *skipped) Close() error { return nil }
