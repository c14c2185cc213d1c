package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// store takes events as a journal does: once.
type store struct {
	mu     sync.Mutex
	fails  int
	tries  int
	has    map[string]bool
	never  string // the id of an event that it does not take
	events []*journal.Event
}

func (s *store) take(_ context.Context, events []*journal.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tries++; s.tries <= s.fails {
		return journal.ErrUnavailable
	}
	if slices.ContainsFunc(events, func(e *journal.Event) bool { return e.ID == s.never }) {
		return fmt.Errorf("%w: too big", journal.ErrUnavailable)
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
		bad.Metadata[MetaPosition], bad.Metadata["odd\xff"] = "order/0/7", "\xfe"
		s.in <- []*message.Message{good, unwanted, bad}
		if l := NewIngest(IngestConfig{}).Link(); !errors.Is(l.Err, ErrNotYet) || !l.Since.IsZero() {
			t.Errorf("before the first try: %+v", l)
		}
		i := runIngest(t, s, st)
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
		if string(lost.Data) != "\xff" || lost.Metadata["base64:b2Rk/w=="] != "base64:/g==" || lost.Metadata[MetaPosition] != "order/0/7" {
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

// TestAnEventThatIsNotTakenBlocksNoOther: the others of its batch are taken, in order, and a dead letter says what it was. While the
// journal takes nothing, nothing is given up.
func TestAnEventThatIsNotTakenBlocksNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spout{in: make(chan []*message.Message, 2), fail: errors.New("no broker")}
		st := &store{fails: 100, never: "3"}
		var msgs []*message.Message
		for n := 1; n <= 5; n++ {
			msg := Encode(numbered(n, "a", "t"))
			msg.Metadata[MetaPosition] = fmt.Sprint("order/0/", n)
			msgs = append(msgs, msg)
		}
		msgs[2].Payload = []byte(`"` + strings.Repeat("x", 1<<20-2) + `"`)
		s.in <- msgs
		runIngest(t, s, st)
		pass(time.Hour)
		got := st.ids()
		if len(got) != 5 || !slices.Equal(slices.Concat(got[:2], got[3:]), []string{"1", "2", "4", "5"}) {
			t.Fatalf("the journal has %v", got)
		}
		lost := st.all()[2]
		if trouble := lost.Metadata[MetaTrouble]; lost.Type != UndecodedType || len(lost.Data) != keptWhole || lost.Metadata[MetaPosition] != "order/0/3" ||
			!strings.Contains(trouble, "too big") || !strings.Contains(trouble, "order/0/3") {
			t.Errorf("the dead letter of %d bytes has %v", len(lost.Data), lost.Metadata)
		}
		for _, msg := range msgs {
			if !isAcked(msg) {
				t.Errorf("%s is not acknowledged", msg.UUID)
			}
		}
	})
}

// Each gap at one place is told, though the place is the same, and none of them twice.
func TestGapsAtOnePlaceAreTold(t *testing.T) {
	t.Parallel()
	gap := func(trouble string) string {
		msg := message.NewMessage("order/0/5", nil)
		msg.Metadata[MetaPosition], msg.Metadata[MetaTrouble] = "order/0/5", trouble
		return undecoded("order", msg).ID
	}
	first, again := gap("5 to 7 are gone"), gap("5 to 7 are gone")
	if first == gap("5 to 9 are gone") || first != again {
		t.Error("gaps at one place are not told apart")
	}
}

// A message that could not be read by an older program can be by a newer one.
func TestAnUndecodedMessageIsDecodedLater(t *testing.T) {
	t.Parallel()
	msg := Encode(event())
	msg.Metadata[MetaKey], msg.Metadata[MetaPosition] = "another", "order/0/7"
	e, err := Redecode(undecoded("order", msg), believeAll)
	want, _ := Decode(msg)
	if err != nil || e.ID != want.ID || e.Key != "another" || e.Version != 2 || len(e.Metadata) != 0 || string(e.Data) != string(want.Data) {
		t.Errorf("decoded %+v, %v", e, err)
	}
}
