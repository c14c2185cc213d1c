package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

func (f *feed) Behind() int64 { return 0 }

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

func runRelay(t *testing.T, f *feed, p *fickle) *Relay {
	ctx, cancel := context.WithCancel(t.Context())
	r := NewRelay(RelayConfig{Feed: f, Publisher: p, Name: "events", Logger: quiet, Topic: func(e *journal.Event) string { return e.Source }})
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
		r := runRelay(t, f, p)
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

func TestTheRelayLeavesOutWhatHasNoTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs := numbered(2, "a", "t")
		theirs.Source = ""
		f := newFeed(numbered(1, "a", "t"), theirs)
		p := &fickle{take: func(_ int, _ string, msgs []*message.Message) ([]*message.Message, error) { return msgs, nil }}
		runRelay(t, f, p)
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

// store takes events as a journal does: once.
type store struct {
	mu     sync.Mutex
	fails  int
	tries  int
	has    map[string]bool
	events []*journal.Event
}

func (s *store) take(_ context.Context, events []*journal.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tries++; s.tries <= s.fails {
		return journal.ErrUnavailable
	}
	if s.has == nil {
		s.has = map[string]bool{}
	}
	for _, e := range events {
		if s.has[e.ID] {
			continue
		}
		s.has[e.ID] = true
		s.events = append(s.events, e)
	}
	return nil
}

func (s *store) all() []*journal.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events
}

func (s *store) ids() (ids []string) {
	for _, e := range s.all() {
		ids = append(ids, e.ID)
	}
	return ids
}

// spout delivers what is put into it, subscription after subscription.
type spout struct {
	message.Publisher
	in   chan []*message.Message // what each subscription delivers before it ends
	fail error
}

func (s *spout) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	var msgs []*message.Message
	select {
	case msgs = <-s.in:
	case <-ctx.Done():
		return nil, ctx.Err()
	default:
		return nil, s.fail
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for _, msg := range msgs {
			select {
			case out <- msg:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (s *spout) Close() error { return nil }

func runIngest(t *testing.T, s *spout, st *store) *Ingest {
	ctx, cancel := context.WithCancel(t.Context())
	i := NewIngest(IngestConfig{Topic: "order", Subscriber: s, Take: st.take, Logger: quiet, Wants: func(e *journal.Event) (bool, error) { return e.Type != "unwanted", nil }})
	ended := make(chan error, 1)
	go func() { ended <- i.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return i
}

func believeAll(string, *journal.Event) error { return nil }

func isAcked(msg *message.Message) bool {
	select {
	case <-msg.Acked():
		return true
	default:
		return false
	}
}

func TestTheIngestAcknowledgesWhatTheJournalHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spout{in: make(chan []*message.Message, 2), fail: errors.New("no broker")}
		st := &store{fails: 3}
		good, unwanted, bad := Encode(numbered(1, "a", "t")), Encode(numbered(2, "a", "unwanted")), message.NewMessage("x", []byte{0xff})
		bad.Metadata[MetaPlace], bad.Metadata["odd\xff"] = "order/0/7", "\xfe"
		s.in <- []*message.Message{good, unwanted, bad}
		i := runIngest(t, s, st)
		if l := i.Link(); !errors.Is(l.Err, ErrNotYet) || !l.Since.IsZero() {
			t.Errorf("before the first try: %+v", l)
		}
		synctest.Wait()
		if l := i.Link(); !errors.Is(l.Err, journal.ErrUnavailable) || isAcked(good) || isAcked(unwanted) {
			t.Errorf("while the journal refuses: %+v, acked %v %v", l, isAcked(good), isAcked(unwanted))
		}
		pass(time.Minute)
		for _, msg := range []*message.Message{good, unwanted, bad} {
			if !isAcked(msg) {
				t.Errorf("%s is not acknowledged", msg.UUID)
			}
		}
		if has := st.all(); len(has) != 2 || has[0].ID != "1" || has[1].Type != UndecodedType {
			t.Fatalf("the journal has %v", st.ids())
		}
		lost := st.all()[1]
		if string(lost.Data) != "\xff" || lost.Metadata["base64:b2Rk/w=="] != "base64:/g==" || lost.Metadata[MetaPlace] != "order/0/7" {
			t.Errorf("the dead letter has %q, %v", lost.Data, lost.Metadata)
		}
		if _, err := Redecode(lost, believeAll); err == nil {
			t.Error("it can be decoded")
		}
		if l := i.Link(); l.Err == nil || l.Err.Error() != "no broker" {
			t.Errorf("without a broker: %+v", l)
		}
		s.in <- []*message.Message{Encode(numbered(3, "a", "t")), Encode(numbered(1, "a", "t"))}
		pass(time.Minute)
		if !slices.Equal(st.ids()[2:], []string{"3"}) {
			t.Errorf("the journal has %v", st.ids())
		}
	})
}

// A message that could not be read by an older program can be by a newer one.
func TestAnUndecodedMessageIsDecodedLater(t *testing.T) {
	t.Parallel()
	msg := Encode(event())
	msg.Metadata[MetaKey], msg.Metadata[MetaPlace] = "another", "order/0/7"
	e, err := Redecode(undecoded("order", msg), believeAll)
	want, _ := Decode(msg)
	if err != nil || e.ID != want.ID || e.Key != "another" || e.Version != 2 || len(e.Metadata) != 0 || string(e.Data) != string(want.Data) {
		t.Errorf("decoded %+v, %v", e, err)
	}
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
			runRelay(t, newFeed(events()...), p)
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
