package encrypt

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// MustRing returns a ring with a key for each id.
func MustRing(tb testing.TB, ids ...string) *Ring {
	tb.Helper()
	r := &Ring{}
	for _, id := range ids {
		if err := r.Add(id, NewKey()); err != nil {
			tb.Fatal(err)
		}
	}
	return r
}

// MustSeal seals p.
func MustSeal(tb testing.TB, keys Keys, p Plain) []byte {
	tb.Helper()
	sealed, err := Seal(keys, p)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

var registered = Plain{
	EventType: "customer.registered", Version: 2, KeyID: "c-1", Data: []byte(`{"name":"Ada"}`), Readable: json.RawMessage(`{ "id": "<c-1>" }`),
}

// A payload comes back as it was, whatever it is, and the same payload has the same bytes.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	keys, random := MustRing(t, "a", "b", "größe \"x\""), rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for range 500 {
		p := Plain{
			EventType: []string{"x", "y.z", ""}[random.IntN(3)], Version: random.IntN(3), ContentType: []string{"", "application/protobuf"}[random.IntN(2)],
			KeyID: []string{"a", "b", "größe \"x\""}[random.IntN(3)], Data: make([]byte, random.IntN(300)),
		}
		for i := range p.Data {
			p.Data[i] = byte(random.Uint32())
		}
		if random.IntN(2) == 0 {
			p.Readable = json.RawMessage(`{"n": [1, "<&>\u2028"]}`)
		}
		sealed := MustSeal(t, keys, p)
		if !json.Valid(sealed) || len(p.Data) > 8 && bytes.Contains(sealed, p.Data) || !bytes.Equal(sealed, MustSeal(t, keys, p)) {
			t.Fatalf("%+v became %s", p, sealed)
		}
		seen[string(sealed)] = true
		got, err := Open(keys, p.EventType, p.Version, sealed)
		if err != nil || !bytes.Equal(got.Data, p.Data) || got.ContentType != p.ContentType || got.KeyID != p.KeyID {
			t.Fatalf("%+v came back as %+v: %v", p, got, err)
		}
		var spaced bytes.Buffer // a proxy may change white space
		if err := json.Indent(&spaced, sealed, "", "  "); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(keys, p.EventType, p.Version, spaced.Bytes()); err != nil {
			t.Fatalf("with white space: %v", err)
		}
	}
	if len(seen) < 400 {
		t.Errorf("only %d different ciphertexts", len(seen))
	}
}

// Nothing of a payload can be changed, and a payload fits no other event.
func TestChanged(t *testing.T) {
	t.Parallel()
	keys := MustRing(t, "c-1", "c-2")
	sealed := MustSeal(t, keys, registered)
	for i := range sealed {
		for _, bit := range []byte{1, 2, 64} {
			changed := bytes.Clone(sealed)
			changed[i] ^= bit
			if p, err := Open(keys, registered.EventType, 2, changed); err == nil && !bytes.Equal(p.Data, registered.Data) {
				t.Fatalf("%s was opened as %s", changed, p.Data)
			} else if err == nil && !bytes.EqualFold(sealed, changed) {
				t.Errorf("%s was opened", changed) // the case of a name in JSON does not matter
			}
		}
	}
	other := MustSeal(t, keys, Plain{EventType: registered.EventType, Version: 2, KeyID: "c-2", Data: registered.Data, Readable: registered.Readable})
	for name, open := range map[string]func() (Plain, error){
		"another type":    func() (Plain, error) { return Open(keys, "customer.moved", 2, sealed) },
		"another version": func() (Plain, error) { return Open(keys, registered.EventType, 1, sealed) },
		"another key's id": func() (Plain, error) {
			return Open(keys, registered.EventType, 2, bytes.Replace(sealed, []byte("c-1"), []byte("c-2"), 1))
		},
		"another readable field": func() (Plain, error) {
			return Open(keys, registered.EventType, 2, bytes.Replace(sealed, []byte("<c-1>"), []byte("<c-2>"), 1))
		},
		"no readable field": func() (Plain, error) {
			return Open(keys, registered.EventType, 2, bytes.Replace(sealed, []byte(`"readable"`), []byte(`"other"`), 1))
		},
		"another content type": func() (Plain, error) {
			return Open(keys, registered.EventType, 2, bytes.Replace(sealed, []byte(`{`), []byte(`{"content_type":"x/y",`), 1))
		},
		"another key": func() (Plain, error) { return Open(MustRing(t, "c-1"), registered.EventType, 2, sealed) },
		"the other's text": func() (Plain, error) {
			return Open(keys, registered.EventType, 2, bytes.Replace(other, []byte("c-2"), []byte("c-1"), 1))
		},
		"too short": func() (Plain, error) {
			return Open(keys, registered.EventType, 2, []byte(`{"key":"c-1","sealed":"AAAA"}`))
		},
	} {
		if p, err := open(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), `key "c-`) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

type broken struct{ err error }

func (b broken) Key(string) ([]byte, error) { return nil, b.err }

type short struct{}

func (short) Key(string) ([]byte, error) { return make([]byte, 16), nil }

// An erased key is final, everything else may pass.
func TestKeys(t *testing.T) {
	t.Parallel()
	keys := MustRing(t, "c-1")
	sealed := MustSeal(t, keys, registered)
	keys.Erase("c-1")
	_, err := Open(keys, registered.EventType, 2, sealed)
	if !errors.Is(err, ErrErased) || err.Error() != `encrypt: the key "c-1" was erased` {
		t.Errorf("opened with an erased key: %v", err)
	}
	if _, err := Seal(keys, registered); !errors.Is(err, ErrErased) {
		t.Errorf("sealed with an erased key: %v", err)
	}
	away := errors.New("the key service is away")
	for name, keys := range map[string]Keys{"nil": nil, "empty": &Ring{}, "broken": broken{away}, "short": short{}} {
		_, err := Open(keys, registered.EventType, 2, sealed)
		if _, sealErr := Seal(keys, registered); !errors.Is(err, ErrNoKey) || !errors.Is(sealErr, ErrNoKey) || !strings.Contains(err.Error(), `"c-1"`) {
			t.Errorf("%s: %v, %v", name, err, sealErr)
		}
		if name == "broken" && !errors.Is(err, away) {
			t.Errorf("the cause is hidden: %v", err)
		}
	}
	if _, err := Seal(keys, Plain{EventType: "x", Data: []byte("{}")}); err == nil || !strings.Contains(err.Error(), "needs a key") {
		t.Errorf("sealed without a key: %v", err)
	}
	if _, err := Seal(MustRing(t, "k"), Plain{KeyID: "k", Readable: json.RawMessage("{")}); err == nil {
		t.Error("sealed with readable fields that are no JSON")
	}
}

// A ring keeps the keys that it was given, and an erased key stays erased.
func TestRing(t *testing.T) {
	t.Parallel()
	r, key := &Ring{}, NewKey()
	if r.Add("", key) == nil || r.Add("a", key[:31]) == nil {
		t.Error("took a bad key")
	}
	if err := errors.Join(r.Add("a", key), r.Add("a", bytes.Clone(key))); err != nil {
		t.Error(err)
	}
	if r.Add("a", NewKey()) == nil {
		t.Error("took another key under the same id")
	}
	got, err := r.Key("a")
	if err != nil || !bytes.Equal(got, key) {
		t.Errorf("got %x, %v", got, err)
	}
	clear(got)
	r.Erase("a")
	r.Erase("never there")
	for _, id := range []string{"a", "never there"} {
		if _, err := r.Key(id); !errors.Is(err, ErrErased) {
			t.Errorf("%s: %v", id, err)
		}
		if r.Add(id, key) == nil {
			t.Errorf("%s was added again", id)
		}
	}
	if bytes.Equal(key, make([]byte, KeySize)) {
		t.Error("erasing changed the caller's key")
	}
}

// The format is durable: this payload was written by the first version.
func TestFormat(t *testing.T) {
	t.Parallel()
	r := &Ring{}
	if err := r.Add("c-1", bytes.Repeat([]byte{7}, KeySize)); err != nil {
		t.Fatal(err)
	}
	const written = `{"key":"c-1","readable":{"id":"<c-1>"},"sealed":"lzEKMGL6UxiFyHT4dlR/2jBLKL5jW15pqpRsdbVoMcV324OEfNdPZk2O"}`
	if got := MustSeal(t, r, registered); string(got) != written {
		t.Errorf("got %s, want %s", got, written)
	}
}

func FuzzOpen(f *testing.F) {
	keys := &Ring{}
	if err := keys.Add("c-1", bytes.Repeat([]byte{7}, KeySize)); err != nil { // the same in every process
		f.Fatal(err)
	}
	f.Add(MustSeal(f, keys, registered))
	f.Add([]byte(`{"key":"c-1","readable":null,"sealed":""}`))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		p, err := Open(keys, registered.EventType, 2, sealed)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Data, registered.Data) { // nobody else has the key
			t.Errorf("%q was opened as %q", sealed, p.Data)
		}
	})
}
