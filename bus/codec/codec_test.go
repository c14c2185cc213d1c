package codec_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/codec"
)

// plain has no codec, text has one, and the others have a mistake.
type (
	plain   struct{}
	text    struct{ s string }
	pointed struct{}
	without struct{}
	odd     struct{}
)

var textCodec = codec.New("text/x-upper; charset=utf-8", "upper case",
	func(e text) ([]byte, error) { return []byte(strings.ToUpper(e.s)), nil },
	func(data []byte, into *text) error { into.s = strings.ToLower(string(data)); return nil })

func (text) EventCodec() codec.Codec     { return textCodec }
func (*pointed) EventCodec() codec.Codec { return textCodec }
func (without) EventCodec() codec.Codec  { return nil }
func (odd) EventCodec() codec.Codec      { return codec.New[odd]("no media type", "", nil, nil) }

func TestNew(t *testing.T) {
	t.Parallel()
	c := codec.Of(text{})
	if codec.Of(plain{}) != nil || codec.Of(&text{}) == nil || c.ContentType() != "text/x-upper; charset=utf-8" || c.Schema() != "upper case" {
		t.Fatalf("the codec is %v", c)
	}
	for _, e := range []any{text{"a"}, &text{"a"}} {
		var back text
		data, err := c.Marshal(e)
		if err != nil || string(data) != "A" || c.Unmarshal(data, &back) != nil || back.s != "a" {
			t.Errorf("%T became %q, and then %+v: %v", e, data, back, err)
		}
	}
	if _, err := c.Marshal(plain{}); err == nil || !strings.Contains(err.Error(), "codec_test.text got a codec_test.plain") {
		t.Errorf("another type: %v", err)
	}
	if err := c.Unmarshal(nil, &plain{}); err == nil || !strings.Contains(err.Error(), "codec_test.text got a *codec_test.plain") {
		t.Errorf("into another type: %v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]any{"": text{}, " ": plain{}, "pointer receiver": pointed{}, "returns nil": without{}, "no media type": odd{}} {
		err := codec.Check(reflect.TypeOf(e))
		if want = strings.TrimSpace(want); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%T: %v, want %q", e, err, want)
		}
	}
}

// The parameters of a content type do not matter, and bytes of no format may be of any format.
func TestReads(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{
		"text/x-upper": true, "TEXT/x-upper;a=b": true, "application/octet-stream": true, "text/plain": false, "": false, "\x00": false,
	} {
		if err := codec.Reads(textCodec, contentType); (err == nil) != want {
			t.Errorf("%q: %v", contentType, err)
		}
	}
}
