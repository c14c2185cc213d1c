package bus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/codec"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/transports/sqlite"
)

// packed has bytes that are no text. copied is the answer to it.
type (
	packed struct{ asked }
	copied struct{ asked }
)

func (packed) EventType() string       { return "test.packed" }
func (copied) EventType() string       { return "test.copied" }
func (packed) EventCodec() codec.Codec { return packedCodec }
func (copied) EventCodec() codec.Codec { return copiedCodec }

var (
	packedCodec = codec.New("application/x-packed", "zigzag n, key", func(e packed) ([]byte, error) { return pack(e.asked) },
		func(data []byte, into *packed) (err error) { into.asked, err = unpack(data); return err })
	copiedCodec = codec.New("application/x-packed", "zigzag n, key", func(e copied) ([]byte, error) { return pack(e.asked) },
		func(data []byte, into *copied) (err error) { into.asked, err = unpack(data); return err })
)

const (
	unpackable = -1 // cannot be encoded
	panics     = -2 // while it is encoded
	poisonous  = -3 // while it is decoded
)

func pack(e asked) ([]byte, error) {
	switch e.N {
	case unpackable:
		return nil, errPlanned
	case panics:
		panic("packing")
	}
	return append(binary.AppendVarint([]byte{0xff, 0}, int64(e.N)), e.Key...), nil
}

func unpack(data []byte) (asked, error) {
	if !bytes.HasPrefix(data, []byte{0xff, 0}) {
		return asked{}, errors.New("not packed")
	}
	n, size := binary.Varint(data[2:])
	if size <= 0 {
		return asked{}, errors.New("no number")
	}
	if n == poisonous {
		panic("unpacking")
	}
	return asked{Key: string(data[2+size:]), N: int(n)}, nil
}

// copies answers packed with copied.
func copies(m *bus.Module, name string) {
	bus.On(m, name, func(ctx context.Context, e packed) (bus.Events, error) {
		return bus.Emit(copied(e)), note(ctx, name, e.Key, e.N)
	}).Emits(copied{})
}

func packs(m *bus.Module) {
	m.Emits(packed{}).ForOutside(copied{})
	copies(m, "copy")
}

// Events with a codec are what they were after the journal, a restart, a retry and a later subscription, and the journal has
// their bytes.
func TestCodecInTheJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	a := MustRunOn(t, path, bus.Config{Retry: fast}, packs)
	random := rand.New(rand.NewPCG(1, 2))
	var asks []bus.Event
	var want []string
	for range 200 {
		key := make([]byte, random.IntN(20))
		for i := range key {
			key[i] = byte(random.Uint32())
		}
		e := packed{asked{strings.ToValidUTF8(string(key), "?"), int(random.Int32())}}
		asks, want = append(asks, e), append(want, fmt.Sprintf("%s:%d", e.Key, e.N))
	}
	a.publish(t, append(asks, &packed{asked{"pointer", 1}})...)
	want = append(want, "pointer:1")
	wantSorted(t, "rows", a.seen(t, "copy"), want...)
	events := a.events(t, "test.copied")
	for i, e := range events {
		if e.Metadata["content-type"] != "application/x-packed" || len(e.Metadata) != 1 || !bytes.HasPrefix(e.Data, []byte{0xff, 0}) {
			t.Fatalf("event %d is %+v", i, e)
		}
	}
	a.stop()
	failed := map[string]bool{}
	a = MustRunOn(t, path, bus.Config{Retry: fast}, func(m *bus.Module) {
		packs(m)
		bus.On(m, "later", func(ctx context.Context, e copied) (bus.Events, error) {
			if id := bus.Delivery(ctx).ID; !failed[id] {
				failed[id] = true
				return nil, errPlanned
			}
			return nil, note(ctx, "later", e.Key, e.N)
		})
	})
	a.wait(t)
	wantSorted(t, "rows of the later subscription", a.seen(t, "later"), want...)
}

// wantSorted is wantStrings for events of several keys.
func wantSorted(tb testing.TB, what string, got []string, want ...string) {
	tb.Helper()
	wantStrings(tb, what, slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))...)
}

// events reads the events of a type.
func (a *app) events(tb testing.TB, eventType string) (out []*journal.Event) {
	tb.Helper()
	err := a.j.Reader().Events(tb.Context(), sqlite.EventFilter{Types: []string{eventType}}, func(e *journal.Event) error {
		out = append(out, e)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// letters reads the dead letters.
func (a *app) letters(tb testing.TB) []journal.DeadLetter {
	tb.Helper()
	letters, err := a.j.Reader().DeadLetters(tb.Context(), sqlite.DeadLetterFilter{})
	if err != nil {
		tb.Fatal(err)
	}
	return letters
}

// Events with a codec are the same over a wire, and a handler of all events gets their bytes with the content type.
func TestCodecOnTheWire(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	start := func(name string) *app {
		carrier := broker.Transport(name)
		t.Cleanup(func() { _ = carrier.Close() })
		cfg := bus.Config{Modules: []string{name}, Transport: carrier, Retry: fast, Keys: MustRing(t)}
		return MustStart(t, filepath.Join(t.TempDir(), name), cfg, func(b *bus.Bus) *bus.Module {
			other := b.Module("other")
			bus.OnEach(other, "copy",
				bus.Of(func(_ context.Context, e packed) (bus.Events, error) { return bus.Emit(copied(e)), nil }),
				bus.Of(func(_ context.Context, e secret) (bus.Events, error) { return bus.Emit(copied{asked{e.Name, 2}}), nil }),
			).Emits(copied{})
			m := b.Module("test").Migrations(tables).Emits(packed{}, secret{})
			bus.OnAll(m, "all", func(ctx context.Context, e bus.Raw) (bus.Events, error) {
				return nil, note(ctx, "all", fmt.Sprintf("%s %s %q", e.Type, e.ContentType, e.KeyID), len(e.Data))
			})
			bus.On(m, "note", func(ctx context.Context, e copied) (bus.Events, error) { return nil, note(ctx, "note", e.Key, e.N) })
			return m
		})
	}
	here, there := start("test"), start("other")
	here.publish(t, packed{asked{"a\x00b", 1}}, secret{"c-1", "Ada"})
	until(t, "both are answered", func() bool { return len(here.seen(t, "note")) == 2 })
	wantSorted(t, "rows", here.seen(t, "note"), "a\x00b:1", "Ada:2")
	if got := there.events(t, "test.secret")[0]; got.Metadata["ce_encryptionkey"] != "c-1" || bytes.Contains(got.Data, []byte("Ada")) {
		t.Errorf("on the other side is %+v", got)
	}
	until(t, "all are noted", func() bool { return len(here.seen(t, "all")) == 4 })
	wantSorted(t, "all", here.seen(t, "all"), `test.copied application/x-packed "":6`, `test.copied application/x-packed "":6`, `test.packed application/x-packed "":6`,
		fmt.Sprintf(`test.secret %s "c-1":%d`, encrypt.ContentType, len(here.events(t, "test.secret")[0].Data)))
}

// An event that its codec cannot read is a dead letter with its bytes, and an event that the codec cannot write is an error.
func TestCodecThatFails(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{Retry: fast}, packs)
	for n, want := range map[int]string{unpackable: "encode test.packed: planned failure", panics: "panic: packing"} {
		if _, err := a.m.Publish(t.Context(), packed{asked{"a", n}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v, want %q", n, err, want)
		}
	}
	a.publish(t, packed{asked{"poison", poisonous}}, packed{asked{"good", 1}})
	for i, e := range []journal.Event{
		{Data: []byte("no bytes of the codec"), Metadata: map[string]string{"content-type": "application/x-packed; v=1"}},
		{Data: []byte{0xff}, Metadata: map[string]string{"content-type": "image/png"}},
		{Data: []byte(`{"key":"null"`)},
		{Data: []byte("null")},
		{Data: []byte(`{"key":"json","n":7}`)}, // from before the type had a codec
		{Data: []byte("\xff\x00\x02bytes"), Metadata: map[string]string{"content-type": "application/octet-stream"}},
	} {
		e.ID, e.Type, e.Version, e.Source, e.Key, e.CorrelationID = fmt.Sprint(i), "test.packed", 1, "test", fmt.Sprint(i), "flow"
		e.Time = time.Now()
		err := a.j.Do(t.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) ([]*journal.Event, error) { return []*journal.Event{&e}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	a.wait(t)
	wantSorted(t, "rows", a.seen(t, "copy"), "good:1", "json:7", "bytes:1")
	var got []string
	for _, l := range a.letters(t) {
		got = append(got, l.Error)
		if l.Event.ID == "0" && string(l.Event.DataBase64) != "no bytes of the codec" {
			t.Errorf("the bytes are %+v", l.Event)
		}
	}
	wantSorted(t, "dead letters", got, "panic: unpacking", "decode test.packed: not packed",
		"decode test.packed: content type \"image/png\": the type's codec reads application/x-packed",
		"decode test.packed: unexpected end of JSON input", "decode test.packed: the payload is null")
}
