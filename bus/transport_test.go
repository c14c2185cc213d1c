package bus_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/transports/sqlite"
)

// part is a deployable of a program of two modules: test asks, other answers.
type part struct {
	*app
	other *bus.Module
}

// wirePart puts both modules on b.
func wirePart(b *bus.Bus) (test, other *bus.Module) {
	test = b.Module("test").Migrations(tables).Emits(asked{})
	bus.On(test, "note", func(ctx context.Context, e answered) (bus.Events, error) { return nil, note(ctx, "note", e.Key, e.N) })
	other = b.Module("other")
	bus.On(other, "answer", func(_ context.Context, e asked) (bus.Events, error) { return bus.Emit(answered(e)), nil }).Emits(answered{})
	return test, other
}

// MustRunPart runs some of them.
func MustRunPart(tb testing.TB, broker *wiretest.Broker, modules ...string) *part {
	tb.Helper()
	group := strings.Join(modules, "-")
	carrier := broker.Transport(group)
	tb.Cleanup(func() {
		if err := carrier.Close(); err != nil {
			tb.Error(err)
		}
	})
	p := &part{}
	cfg := bus.Config{Modules: modules, Transport: carrier, Retry: fast}
	p.app = MustStart(tb, filepath.Join(tb.TempDir(), group+".db"), cfg, func(b *bus.Bus) (m *bus.Module) {
		m, p.other = wirePart(b)
		return m
	})
	return p
}

// follow waits until the journal has an event of a type, and returns the first one.
func (a *app) follow(tb testing.TB, eventType string) (found *journal.Event) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	enough := errors.New("enough")
	if err := a.j.Follow(ctx, 0, func(e *journal.Event) error { found = e; return enough }, eventType); !errors.Is(err, enough) {
		tb.Fatalf("no %s: %v", eventType, err)
	}
	a.wait(tb)
	return found
}

func TestTwoDeployables(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	here, there := MustRunPart(t, broker, "test"), MustRunPart(t, broker, "other")
	flow, err := here.m.Publish(t.Context(), asked{"a", 1})
	if err != nil {
		t.Fatal(err)
	}
	e := here.follow(t, "test.answered")
	if e.CorrelationID != flow || e.Subscription != "other/answer" || e.Hops != 1 || e.Source != "other" {
		t.Errorf("the answer is %+v", e)
	}
	wantStrings(t, "rows", here.seen(t, "note"), "a:1")
	wantStrings(t, "here", here.strings(t, "SELECT type FROM events ORDER BY seq"), "test.asked", "test.answered")
	wantStrings(t, "there", there.strings(t, "SELECT type FROM events ORDER BY seq"), "test.asked", "test.answered")
	wantStrings(t, "subscriptions there", there.strings(t, "SELECT name FROM subscriptions WHERE kind = 'bus' ORDER BY name"), "bus/ingest", "bus/relay", "bus/unknown", "other/answer")
	wantStrings(t, "tables there", there.strings(t, "SELECT name FROM sqlite_master WHERE name = 'test_seen'"))
}

func TestAModuleElsewhereSaysSo(t *testing.T) {
	t.Parallel()
	there := MustRunPart(t, wiretest.NewBroker(), "other")
	_, err := there.m.Publish(t.Context(), asked{"a", 1})
	if !errors.Is(err, bus.ErrElsewhere) || !strings.Contains(err.Error(), "module test does not run in this process, which runs other") {
		t.Errorf("Publish: %v", err)
	}
	err = there.m.View(t.Context(), func(bus.SQL) error { t.Error("it is read"); return nil })
	if !errors.Is(err, bus.ErrElsewhere) {
		t.Errorf("View: %v", err)
	}
	if err := there.other.View(t.Context(), func(bus.SQL) error { return nil }); err != nil {
		t.Errorf("View of the module that is here: %v", err)
	}
}

func TestMistakesInTheChoiceOfModules(t *testing.T) {
	t.Parallel()
	b := bus.New(nil, bus.Config{Modules: []string{"other", "tset"}})
	wirePart(b)
	b.Module("bus")
	err := b.Check()
	if !errors.Is(err, bus.ErrWiring) {
		t.Fatal(err)
	}
	for _, want := range []string{`Config.Modules has module "tset", which is not wired: wired are bus, other, test`, `"test" runs elsewhere, but Config.Transport is not set`,
		`"bus": the name is reserved for the bus`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

// The broker is away: the deployable works, and says how it stands. When it is back, everything arrives.
func TestABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	broker.Down(true)
	here, there := MustRunPart(t, broker, "test"), MustRunPart(t, broker, "other")
	for n := range 10 {
		here.publish(t, asked{"a", n})
	}
	standing := func(p *part) (n int) {
		for _, l := range p.Links() {
			if l.Err != nil && !l.Since.IsZero() {
				n++
			}
		}
		return n
	}
	until(t, "links stand still, also those by which nothing was to be sent", func() bool {
		return standing(here) == len(here.Links()) && standing(there) == len(there.Links())
	})
	broker.Down(false)
	until(t, "all is noted", func() bool { return len(here.seen(t, "note")) == 10 })
	wantStrings(t, "rows", here.seen(t, "note"), "a:0", "a:1", "a:2", "a:3", "a:4", "a:5", "a:6", "a:7", "a:8", "a:9")
	until(t, "links are well", func() bool { return standing(here) == 0 && standing(there) == 0 })
}

func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for !so() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// What others write to a topic that is no event, or of a type that nobody knows, is a dead letter with its bytes.
func TestWhatComesFromOutsideAndIsNoEvent(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	there := MustRunPart(t, broker, "other")
	broker.Write("test", []byte("a"), map[string]string{"from": "web"}, []byte("\x00garbage"))
	broker.Write("test", []byte("a"), map[string]string{"ce_specversion": "1.0", "ce_id": "7", "ce_type": "web.clicked", "ce_source": "web"}, []byte(`{}`))
	forged := map[string]string{"ce_specversion": "1.0", "ce_id": "8", "ce_type": "test.asked", "ce_source": "other", "from": "mallory"} // it would be sent on as other's
	broker.Write("test", []byte("a"), forged, []byte(`{"key":"a"}`))
	until(t, "all are dead", func() bool {
		return len(there.strings(t, "SELECT 'dead' FROM dead_letters")) == 3
	})
	wantStrings(t, "errors", there.strings(t, "SELECT error LIKE '%the source is other, a module that publishes on its own topic, not on topic test%' FROM dead_letters d JOIN events e ON e.seq = d.seq WHERE json_extract(e.metadata, '$.from') = 'mallory'"), "1")
	wantStrings(t, "dead letters", there.strings(t, `
SELECT s.name || ' ' || e.type || ' ' || coalesce(json_extract(e.metadata, '$.from'), '') || ' ' || hex(e.data)
FROM dead_letters d JOIN subscriptions s ON s.id = d.subscription JOIN events e ON e.seq = d.seq ORDER BY s.name, hex(e.data) DESC`),
		"bus/ingest bus.undecoded mallory 7B226B6579223A2261227D", "bus/ingest bus.undecoded web 0067617262616765", "bus/unknown web.clicked  7B7D")
}

// What an older program could not read, a newer one may: the dead letter of the ingest becomes the event that it carries.
func TestADeadLetterOfTheIngestIsReplayed(t *testing.T) {
	t.Parallel()
	there := MustRunPart(t, wiretest.NewBroker(), "other")
	msg := wire.Encode(&journal.Event{ID: "7", Type: "test.asked", Version: 1, Source: "test", Key: "a", CorrelationID: "f", Data: []byte(`{"key":"a","n":3}`)})
	lost := &journal.Event{ID: "lost", Type: wire.UndecodedType, Version: 1, CorrelationID: "lost", Data: msg.Payload, Metadata: map[string]string(msg.Metadata)}
	if err := there.j.Do(t.Context(), journal.Work{}, func(journal.TxFunc) ([]*journal.Event, error) { return []*journal.Event{lost}, nil }); err != nil {
		t.Fatal(err)
	}
	if e := there.follow(t, "test.answered"); e.Key != "a" || e.CausationID != "7" || e.CorrelationID != "f" {
		t.Errorf("what came of it: %+v", e)
	}
}

// An id is one within its source: of two writers that count from 1, neither is lost, however often both are delivered.
func TestTwoSourcesMayUseTheSameID(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	there := MustRunPart(t, broker, "other")
	for range 2 {
		for _, source := range []string{"/north", "/south"} {
			broker.Write("test", []byte("k"), map[string]string{
				"ce_specversion": "1.0", "ce_id": "1", "ce_source": source, "ce_type": "test.asked",
			}, []byte(`{"key":"`+source+`","n":1}`))
		}
	}
	until(t, "both are answered", func() bool {
		return len(there.strings(t, "SELECT id FROM events WHERE type = 'test.answered'")) == 2 && broker.Pending() == 0
	})
	wantStrings(t, "events", there.strings(t, "SELECT source || ' ' || id || ' ' || correlation_id FROM events WHERE type = 'test.asked' ORDER BY seq"), "/north 1 1", "/south /south#1 /south#1")
	wantStrings(t, "answers", there.strings(t, "SELECT json_extract(data, '$.key') || ' ' || causation_id FROM events WHERE type = 'test.answered' ORDER BY seq"), "/north 1", "/south /south#1")
}

// A journal that was restored from a backup does once more what it does not know of, and what comes of that the others know by
// its id.
func TestARestoredJournalDoublesNothing(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	here := MustRunPart(t, broker, "test")
	var ids []string
	for _, name := range []string{"other", "restored"} { // the second one from a backup that was made before everything
		carrier := broker.Transport(name)
		there := MustStart(t, filepath.Join(t.TempDir(), "other.db"), bus.Config{Modules: []string{"other"}, Transport: carrier, Retry: fast}, func(b *bus.Bus) *bus.Module {
			m, _ := wirePart(b)
			return m
		})
		if name == "other" {
			here.publish(t, asked{"a", 1})
		}
		ids = append(ids, there.follow(t, "test.answered").ID)
		until(t, "it is sent", func() bool { return there.Links()[0].Lag == 0 })
		there.stop()
		if err := carrier.Close(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all are read", func() bool { return broker.Pending() == 0 })
	here.wait(t)
	wantStrings(t, "rows", here.seen(t, "note"), "a:1")
	wantStrings(t, "ids", ids[1:], ids[0])
}

// What went where nobody listens, because of a wrong setting, is sent once more when that is put right.
func TestWhatWentToAnotherCarrierIsSentToThisOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	wrong, right := wiretest.NewBroker(), wiretest.NewBroker()
	there := MustRunPart(t, right, "other")
	for n, broker := range []*wiretest.Broker{right, wrong, right} {
		carrier := broker.Transport("test")
		here := MustStart(t, path, bus.Config{Modules: []string{"test"}, Transport: carrier, Retry: fast}, func(b *bus.Bus) *bus.Module { m, _ := wirePart(b); return m })
		here.publish(t, asked{"a", n})
		until(t, "it is sent", func() bool { return here.Links()[0].Lag == 0 && here.Links()[1].Lag == 0 })
		if n == 2 {
			until(t, "all are answered", func() bool { return len(here.seen(t, "note")) == 3 })
		}
		here.stop()
		if err := carrier.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantStrings(t, "what is there", there.strings(t, "SELECT json_extract(data, '$.n') FROM events WHERE type = 'test.asked' ORDER BY seq"), "0", "1", "2")
}

// narrow is a transport whose topics take less than it says, until they are widened.
type narrow struct {
	bus.Transport
	limit atomic.Int64
}

func (n *narrow) Publish(topic string, msgs ...*message.Message) error {
	for i, msg := range msgs {
		if len(msg.Payload) > int(n.limit.Load()) && topic != wire.RecordsTopic {
			return &wire.Refused{At: i, Err: errors.New("too large for the topic: widen it")}
		}
	}
	return n.Transport.Publish(topic, msgs...)
}

// What a topic does not take holds up nobody: it is a dead letter of the relay, and goes its way when the topic takes it.
func TestWhatATopicDoesNotTakeIsADeadLetter(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	there := MustRunPart(t, broker, "other")
	watch := broker.Transport("watch")
	t.Cleanup(func() { _ = watch.Close() })
	told, err := watch.Subscribe(t.Context(), wire.RecordsTopic)
	if err != nil {
		t.Fatal(err)
	}
	n := &narrow{Transport: broker.Transport("test")}
	t.Cleanup(func() { _ = n.Close() })
	n.limit.Store(30)
	path := filepath.Join(t.TempDir(), "test.db")
	here := MustStart(t, path, bus.Config{Modules: []string{"test"}, Transport: n, Retry: fast}, func(b *bus.Bus) *bus.Module { m, _ := wirePart(b); return m })
	large := asked{strings.Repeat("a", 30), 2}
	for _, e := range []asked{{"a", 1}, large, {"a", 3}} {
		here.publish(t, e)
	}
	until(t, "the small ones are answered", func() bool { return len(here.seen(t, "note")) == 2 })
	until(t, "the large one is dead", func() bool { return len(here.strings(t, "SELECT 'dead' FROM dead_letters")) == 1 })
	wantStrings(t, "dead letters", here.strings(t, `
SELECT s.name || ' ' || e.type || ' ' || d.error || ', ' || (e.causation_id = a.id AND e.correlation_id = a.correlation_id AND e.key = a.key)
FROM dead_letters d JOIN subscriptions s ON s.id = d.subscription JOIN events e ON e.seq = d.seq JOIN events a ON a.id = e.id AND a.type = 'test.asked'`),
		"bus/relay bus.unsent too large for the topic: widen it, 1")
	for msg := range told {
		msg.Ack()
		if msg.Metadata["ce_type"] == wire.UnsentType {
			if len(msg.Payload) > 0 || msg.Metadata["ce_subject"] != large.Key || msg.Metadata["ce_causationid"] != msg.UUID {
				t.Errorf("observers are told %q, %v", msg.Payload, msg.Metadata)
			}
			break
		}
	}
	wantStrings(t, "what is there", there.strings(t, "SELECT count(*) FROM events WHERE type = 'test.asked'"), "2")
	n.limit.Store(1000)
	if _, err := sqlite.Replay(t.Context(), path, sqlite.Act{Reason: "the topic is wider"}); err != nil {
		t.Fatal(err)
	}
	until(t, "the large one is answered", func() bool { return len(here.seen(t, "note")) == 3 })
	wantStrings(t, "dead letters", here.strings(t, "SELECT status FROM dead_letters"), "replayed")
}

// small is a transport that carries little.
type small struct{ message.Publisher }

func (small) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	return nil, errors.New("not here")
}
func (small) Publish(string, ...*message.Message) error { return nil }
func (small) Close() error                              { return nil }
func (small) Features() wire.Features                   { return wire.Features{Name: "small", MaxPayload: 20} }

// What a transport cannot carry is refused where it is emitted, not where it would be stuck.
func TestWhatTheTransportCannotCarryIsNotEmitted(t *testing.T) {
	t.Parallel()
	a := MustStart(t, filepath.Join(t.TempDir(), "j.db"), bus.Config{Transport: small{}}, func(b *bus.Bus) *bus.Module { m, _ := wirePart(b); return m })
	if _, err := a.m.Publish(t.Context(), asked{"a long, long key", 1}); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	a.publish(t, asked{"a", 1})
}
