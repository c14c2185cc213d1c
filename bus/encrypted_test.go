package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/codec"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/internal/payload"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/transports/sqlite"
)

// secret is encrypted for its customer, whose id stays readable. parcel is packed, and then encrypted.
type (
	secret struct {
		Customer string `json:"customer"`
		Name     string `json:"name"`
	}
	parcel struct{ asked }
)

func (secret) EventType() string            { return "test.secret" }
func (s secret) EventKey() string           { return s.Customer }
func (s secret) EventEncryptionKey() string { return s.Customer }
func (s secret) EventReadable() any {
	return map[string]string{"customer": s.Customer}
}

var parcelCodec = codec.New("application/x-packed", "", func(e parcel) ([]byte, error) { return pack(e.asked) },
	func(data []byte, into *parcel) (err error) { into.asked, err = unpack(data); return err })

func (parcel) EventType() string            { return "test.parcel" }
func (p parcel) EventEncryptionKey() string { return p.Key }
func (parcel) EventCodec() codec.Codec      { return parcelCodec }

// MustRing returns a ring with the keys of c-1 and c-2.
func MustRing(tb testing.TB) *encrypt.Ring {
	tb.Helper()
	r := &encrypt.Ring{}
	for i, id := range []string{"c-1", "c-2"} {
		if err := r.Add(id, bytes.Repeat([]byte{byte(i)}, encrypt.KeySize)); err != nil {
			tb.Fatal(err)
		}
	}
	return r
}

// secrets handles both types with a name, and answers secret with parcel.
func secrets(m *bus.Module) {
	m.Emits(secret{}, parcel{})
	bus.On(m, "open", func(ctx context.Context, e secret) (bus.Events, error) {
		return bus.Emit(parcel{asked{e.Customer, len(e.Name)}}), note(ctx, "open", e.Name, 1)
	}).Emits(parcel{})
	bus.On(m, "skip", func(ctx context.Context, e secret) (bus.Events, error) { return nil, note(ctx, "skip", e.Name, 1) }).SkipErased()
	bus.On(m, "parcel", func(ctx context.Context, e parcel) (bus.Events, error) { return nil, note(ctx, "parcel", e.Key, e.N) })
}

// The journal has only what the type says is readable. Without its key an event is a dead letter, or is skipped.
func TestEncryption(t *testing.T) {
	t.Parallel()
	path, keys := filepath.Join(t.TempDir(), "j.db"), MustRing(t)
	a := MustRunOn(t, path, bus.Config{Keys: keys, Retry: fast}, secrets)
	ctx := bus.With(t.Context(), "tenant", "blue")
	if _, err := a.m.Publish(ctx, secret{"c-1", "Ada"}, secret{"c-2", "Grace"}); err != nil {
		t.Fatal(err)
	}
	a.wait(t)
	wantSorted(t, "rows", append(a.seen(t, "open"), a.seen(t, "parcel")...), "Ada:1", "Grace:1", "c-1:3", "c-2:5")
	for _, e := range append(a.events(t, "test.secret"), a.events(t, "test.parcel")...) {
		if bytes.Contains(e.Data, []byte("Ada")) || bytes.Contains(e.Data, []byte("Grace")) || e.Metadata["content-type"] != encrypt.ContentType ||
			e.Metadata["ce_encryptionkey"] != e.Key || e.Metadata["ce_tenant"] != "blue" || len(e.Metadata) != 3 {
			t.Errorf("stored is %s, %q", e.Data, e.Metadata)
		}
	}
	wantStrings(t, "readable", a.strings(t, "SELECT json_extract(data, '$.readable.customer') FROM events WHERE type = 'test.secret'"), "c-1", "c-2")
	a.stop()
	keys.Erase("c-1")
	a = MustRunOn(t, path, bus.Config{Keys: keys, Retry: fast}, func(m *bus.Module) {
		secrets(m)
		bus.On(m, "late", func(ctx context.Context, e secret) (bus.Events, error) { return nil, note(ctx, "late", e.Name, 1) })
		bus.On(m, "later", func(ctx context.Context, e secret) (bus.Events, error) { return nil, note(ctx, "late", e.Name, 2) }).SkipErased()
	})
	a.wait(t)
	wantSorted(t, "rows of later subscriptions", a.seen(t, "late"), "Grace:1", "Grace:2")
	wantStrings(t, "outcomes", append(a.outcomes(t, "test/late"), a.outcomes(t, "test/later")...), "dead/1", "done/1", "skipped/1", "done/1")
	if l := a.letters(t); len(l) != 1 || l[0].Error != `decode test.secret: encrypt: the key "c-1" was erased` {
		t.Errorf("dead letters: %+v", l)
	}
	if _, err := a.m.Publish(t.Context(), secret{"c-1", "Ada"}); !errors.Is(err, encrypt.ErrErased) {
		t.Errorf("published for an erased key: %v", err)
	}
	for id, want := range map[string]string{
		"": "needs a key", "a\nb": `the id "a\nb" of the encryption key has the control character`,
		strings.Repeat("a", 1025): "the id of the encryption key has 1025 bytes",
	} {
		if _, err := a.m.Publish(t.Context(), secret{id, "nobody"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("published with the key %.20q: %v", id, err)
		}
	}
}

// away has no key at first.
type away struct {
	encrypt.Keys
	asked atomic.Int32
}

func (a *away) Key(id string) ([]byte, error) {
	if a.asked.Add(1) < 3 {
		return nil, errors.New("the key service is away")
	}
	return a.Keys.Key(id)
}

// What a missing key stops is tried again, what an erased key stops is not, and changed bytes are told at once.
func TestKeysThatAreAway(t *testing.T) {
	t.Parallel()
	path, keys := filepath.Join(t.TempDir(), "j.db"), MustRing(t)
	a := MustRunOn(t, path, bus.Config{Keys: keys, Retry: fast}, secrets)
	a.publish(t, secret{"c-1", "Ada"})
	good := a.events(t, "test.secret")[0]
	a.stop()
	late := func(m *bus.Module) {
		secrets(m)
		bus.On(m, "late", func(ctx context.Context, e secret) (bus.Events, error) { return nil, note(ctx, "late", e.Name, 1) })
		bus.On(m, "erase", func(ctx context.Context, e asked) (bus.Events, error) {
			keys.Erase(e.Key)
			return bus.Emit(secret{e.Key, "after"}), nil
		}).Emits(secret{}).AnyOrder()
		m.Emits(asked{})
	}
	a = MustRunOn(t, path, bus.Config{Keys: &away{Keys: keys}, Retry: fast}, late)
	a.wait(t)
	wantStrings(t, "outcomes", a.outcomes(t, "test/late"), "done/3")
	for i, change := range []func(*journal.Event){
		func(e *journal.Event) { e.Data = bytes.Replace(e.Data, []byte(`"c-1"`), []byte(`"c-2"`), -1) },
		func(e *journal.Event) {
			e.Data = bytes.Replace(e.Data, []byte(`"sealed":"`), []byte(`"sealed":"AAAA`), 1)
		},
		func(e *journal.Event) { e.Type = "test.parcel" },
		func(e *journal.Event) { e.Data = []byte(`{"customer":"c-1"}`) },
	} {
		e := *good
		e.ID, e.Seq, e.Data = fmt.Sprint("changed-", i), 0, bytes.Clone(good.Data)
		change(&e)
		err := a.j.Do(t.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) ([]*journal.Event, error) { return []*journal.Event{&e}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	a.publish(t, asked{"c-2", 1})
	var got []string
	for _, l := range a.letters(t) {
		if l.Subscription == "test/late" || l.Event.Type == "test.parcel" || l.Subscription == "test/erase" {
			got = append(got, fmt.Sprintf("%s %s %d %s", l.Subscription, l.Event.ID, l.Attempts, l.Error))
		}
	}
	const corrupt = "encrypt: the payload cannot be decrypted: the bytes were changed, or the key is another"
	erased := fmt.Sprintf(`test/erase %s 1 encode test.secret: encrypt: the key "c-2" was erased`, a.events(t, "test.asked")[0].ID)
	wantSorted(t, "dead letters", got,
		`test/late changed-0 1 decode test.secret: key "c-2": `+corrupt, `test/late changed-1 1 decode test.secret: key "c-1": `+corrupt,
		`test/parcel changed-2 1 decode test.parcel: key "c-1": `+corrupt,
		"test/late changed-3 1 decode test.secret: encrypt: the payload is no encrypted payload", erased)
}

// A program that has no keys, or a method that the bus would not find, is a mistake in the wiring.
func TestMistakesInPayloads(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]bus.Event{
		`event type "test.secret": bus_test.secret has encrypted payloads: set Config.Keys`:           secret{},
		`event type "test.pointed": EventEncryptionKey of bus_test.pointedKey has a pointer receiver`: pointedKey{},
		`event type "test.nil": EventCodec of bus_test.nilCodec returns nil: return a codec`:          nilCodec{},
		`event type "test.odd": the codec of bus_test.oddCodec has the content type "": want a media`: oddCodec{},
	} {
		if err := mistaken(func(m *bus.Module) { m.Emits(e).ForOutside(e) }); !errors.Is(err, bus.ErrWiring) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	b := bus.New(nil, bus.Config{Keys: MustRing(t)})
	b.Module("test").Emits(secret{}, packed{}, parcel{}).ForOutside(secret{}, packed{}, parcel{})
	if err := b.Check(); err != nil {
		t.Error(err)
	}
	for name, goType := range b.Wiring().Go {
		contentType, schema, encrypted := payload.About(goType)
		wantStrings(t, name, []string{contentType, schema, fmt.Sprint(encrypted)}, map[string][]string{
			"test.secret": {"", "", "true"}, "test.packed": {"application/x-packed", "zigzag n, key", "false"},
			"test.parcel": {"application/x-packed", "", "true"},
		}[name]...)
	}
}

type (
	pointedKey struct{ asked }
	nilCodec   struct{ asked }
	oddCodec   struct{ asked }
)

func (pointedKey) EventType() string           { return "test.pointed" }
func (*pointedKey) EventEncryptionKey() string { return "k" }
func (nilCodec) EventType() string             { return "test.nil" }
func (nilCodec) EventCodec() codec.Codec       { return nil }
func (oddCodec) EventType() string             { return "test.odd" }
func (oddCodec) EventCodec() codec.Codec       { return codec.New[oddCodec]("", "", nil, nil) }

// A dead letter whose key was missing is replayed with the key.
func TestReplayWithTheKey(t *testing.T) {
	t.Parallel()
	keys := MustRing(t)
	a := MustRunOn(t, filepath.Join(t.TempDir(), "j.db"), bus.Config{Keys: keys, Retry: fast}, secrets)
	a.publish(t, secret{"c-1", "Ada"})
	a.stop()
	late := func(m *bus.Module) {
		secrets(m)
		bus.On(m, "late", func(ctx context.Context, e secret) (bus.Events, error) { return nil, note(ctx, "late", e.Name, 1) })
	}
	a = MustRunOn(t, a.path, bus.Config{Keys: &encrypt.Ring{}, Retry: fast}, late)
	a.wait(t)
	l := a.letters(t)
	if len(l) != 1 || l[0].Attempts != 3 || !strings.Contains(l[0].Error, `encrypt: no key "c-1": the ring has no key "c-1"`) {
		t.Fatalf("dead letters: %+v", l)
	}
	a.stop()
	if _, err := sqlite.Replay(t.Context(), a.path, sqlite.Act{Actor: "test", Reason: "the key is back"}); err != nil {
		t.Fatal(err)
	}
	a = MustRunOn(t, a.path, bus.Config{Keys: keys, Retry: fast}, late)
	a.wait(t)
	wantStrings(t, "rows", a.seen(t, "late"), "Ada:1")
}

// A deployable that was restored from a backup emits encrypted events again, with the same ids and the same bytes.
func TestEncryptedAgainAfterARestore(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	start := func(name, file string) (*app, bus.Transport) {
		carrier := broker.Transport(file)
		cfg := bus.Config{Modules: []string{name}, Transport: carrier, Retry: fast, Keys: MustRing(t)}
		return MustStart(t, filepath.Join(t.TempDir(), file), cfg, func(b *bus.Bus) *bus.Module {
			bus.On(b.Module("other"), "pack", func(_ context.Context, e secret) (bus.Events, error) {
				return bus.Emit(parcel{asked{e.Customer, len(e.Name)}}), nil
			}).Emits(parcel{})
			m := b.Module("test").Migrations(tables).Emits(secret{})
			bus.On(m, "note", func(ctx context.Context, e parcel) (bus.Events, error) { return nil, note(ctx, "note", e.Key, e.N) })
			return m
		}), carrier
	}
	here, carrier := start("test", "test")
	t.Cleanup(func() { _ = carrier.Close() })
	var sent []*journal.Event
	for _, file := range []string{"other", "restored"} {
		there, carrier := start("other", file)
		if file == "other" {
			here.publish(t, secret{"c-1", "Ada"})
		}
		sent = append(sent, there.follow(t, "test.parcel"))
		until(t, "it is sent", func() bool { return there.Links()[0].Lag == 0 })
		there.stop()
		if err := carrier.Close(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all are read", func() bool { return broker.Pending() == 0 })
	here.wait(t)
	wantStrings(t, "rows", here.seen(t, "note"), "c-1:3")
	if sent[0].ID != sent[1].ID || !bytes.Equal(sent[0].Data, sent[1].Data) {
		t.Errorf("sent %s, and then %s", sent[0].Data, sent[1].Data)
	}
}
