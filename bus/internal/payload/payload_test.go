package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/codec"
	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/journal"
)

// The four kinds of types: with a codec or without, encrypted or not.
type (
	plain struct {
		S string `json:"s"`
	}
	packed       struct{ plain }
	sealed       struct{ plain }
	sealedPacked struct{ plain }
)

// newCodec returns a codec whose payloads are 0xff and the bytes of a text.
func newCodec[E any](text func(e *E) *string) codec.Codec {
	return codec.New("application/x-packed", "", func(e E) ([]byte, error) { return append([]byte{0xff}, *text(&e)...), nil },
		func(data []byte, into *E) error {
			if !bytes.HasPrefix(data, []byte{0xff}) {
				return errors.New("not packed")
			}
			*text(into) = string(data[1:])
			clear(data) // the data belong to the codec
			return nil
		})
}

func (packed) EventCodec() codec.Codec { return newCodec(func(e *packed) *string { return &e.S }) }
func (sealedPacked) EventCodec() codec.Codec {
	return newCodec(func(e *sealedPacked) *string { return &e.S })
}
func (sealed) EventEncryptionKey() string       { return "k" }
func (sealedPacked) EventEncryptionKey() string { return "k" }
func (sealedPacked) EventReadable() any         { return []int{1} }

// newKeys returns a ring with the same key in every process.
func newKeys(tb testing.TB) *encrypt.Ring {
	tb.Helper()
	r := &encrypt.Ring{}
	if err := r.Add("k", bytes.Repeat([]byte{1}, encrypt.KeySize)); err != nil {
		tb.Fatal(err)
	}
	return r
}

func event(version int) *journal.Event {
	return &journal.Event{Type: "t", Version: version, Metadata: map[string]string{"ce_tenant": "blue"}}
}

// Every kind comes back, the metadata of the flow stay as they are, and the stored bytes stay as they are.
func TestKinds(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	for _, tt := range []struct {
		e, into     any
		contentType string
	}{
		{plain{"a"}, &plain{}, ""},
		{packed{plain{"a\x00\xfe"}}, &packed{}, "application/x-packed"},
		{sealed{plain{"a"}}, &sealed{}, encrypt.ContentType},
		{sealedPacked{plain{"a\x00\xfe"}}, &sealedPacked{}, encrypt.ContentType},
	} {
		s := event(1)
		of := s.Metadata
		if err := Marshal(tt.e, keys, s); err != nil {
			t.Fatal(err)
		}
		if len(of) != 1 || s.Metadata["content-type"] != tt.contentType || s.Metadata["ce_tenant"] != "blue" {
			t.Errorf("%T: the metadata are %q, of the flow %q", tt.e, s.Metadata, of)
		}
		again, stored := event(1), bytes.Clone(s.Data)
		if err := Marshal(tt.e, keys, again); err != nil || !bytes.Equal(again.Data, s.Data) || !maps.Equal(again.Metadata, s.Metadata) {
			t.Errorf("%T: another payload: %q, %q: %v", tt.e, s.Data, again.Data, err)
		}
		if err := Unmarshal(s, keys, tt.into); err != nil || !bytes.Equal(stored, s.Data) {
			t.Errorf("%T: %v, %q became %q", tt.e, err, stored, s.Data)
		}
		want, _ := json.Marshal(tt.e)
		got, _ := json.Marshal(tt.into)
		if !bytes.Equal(got, want) {
			t.Errorf("%T: got %s, want %s", tt.e, got, want)
		}
		contentType, data, err := Open(s, keys)
		if inside := map[bool]string{true: "application/x-packed"}[bytes.HasPrefix(data, []byte{0xff})]; err != nil || contentType != inside {
			t.Errorf("%T: the open payload is %q, %q: %v", tt.e, contentType, data, err)
		}
		if err := Unmarshal(s, nil, tt.into); tt.contentType == encrypt.ContentType && (!errors.Is(err, encrypt.ErrNoKey) || !strings.Contains(err.Error(), "set Config.Keys")) {
			t.Errorf("%T: opened without keys: %v", tt.e, err)
		}
	}
}

// A type may gain and lose encryption, and gain a codec: older events stay readable.
func TestOlderEvents(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	for _, tt := range []struct {
		e, into any
		want    string
	}{
		{plain{"a"}, &sealed{}, ""},
		{plain{"a"}, &packed{}, ""},
		{plain{"a"}, &sealedPacked{}, ""},
		{packed{plain{"a"}}, &sealedPacked{}, ""},
		{sealed{plain{"a"}}, &plain{}, ""},
		{sealed{plain{"a"}}, &packed{}, ""},
		{sealedPacked{plain{"a"}}, &packed{}, ""},
		{packed{plain{"a"}}, &plain{}, "UTF-8"},
	} {
		s := event(1)
		if err := Marshal(tt.e, keys, s); err != nil {
			t.Fatal(err)
		}
		err := Unmarshal(s, keys, tt.into)
		got, _ := json.Marshal(tt.into)
		if tt.want == "" && (err != nil || string(got) != `{"s":"a"}`) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%T as %T: %s, %v", tt.e, tt.into, got, err)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	keys := newKeys(f)
	for _, e := range []any{plain{"a"}, packed{plain{"a"}}, sealed{plain{"a"}}, sealedPacked{plain{"a"}}} {
		s := event(1)
		if err := Marshal(e, keys, s); err != nil {
			f.Fatal(err)
		}
		f.Add(s.Data, s.Metadata["content-type"])
	}
	f.Add([]byte("{}"), `text/plain; charset="x"`)
	f.Fuzz(func(t *testing.T, data []byte, contentType string) {
		for _, into := range []any{&plain{}, &packed{}, &sealed{}, &sealedPacked{}} {
			e := &journal.Event{Type: "t", Version: 1, Data: bytes.Clone(data), Metadata: map[string]string{"content-type": contentType}}
			err := Unmarshal(e, keys, into)
			if !bytes.Equal(e.Data, data) {
				t.Fatalf("%q became %q", data, e.Data)
			}
			if err != nil {
				continue
			}
			again, back := event(1), into
			if err := Marshal(into, keys, again); err != nil {
				t.Fatalf("%+v was read, and cannot be written: %v", into, err)
			}
			before, _ := json.Marshal(into)
			if err := Unmarshal(again, keys, back); err != nil {
				t.Fatalf("%+v was written, and cannot be read: %v", into, err)
			}
			if after, _ := json.Marshal(back); !bytes.Equal(before, after) {
				t.Fatalf("%s became %s", before, after)
			}
		}
	})
}

// JSON costs no allocation beyond those of encoding/json.
func TestJSONIsFree(t *testing.T) {
	e, s := &plain{"a"}, &journal.Event{Type: "t"}
	for _, tt := range []struct {
		name        string
		ours, plain func()
	}{
		{"marshal", func() { _ = Marshal(e, nil, s) }, func() { s.Data, _ = json.Marshal(e) }},
		{"unmarshal", func() { _ = Unmarshal(s, nil, e) }, func() { _ = json.Unmarshal(s.Data, e) }},
	} {
		if ours, plain := testing.AllocsPerRun(100, tt.ours), testing.AllocsPerRun(100, tt.plain); ours > plain {
			t.Errorf("%s allocates %v times, and encoding/json %v times", tt.name, ours, plain)
		}
	}
}
