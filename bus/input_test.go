package bus

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

// nothing encodes as null.
type nothing struct{}

func (nothing) EventType() string            { return "test.nothing" }
func (nothing) EventKey() string             { return "" }
func (nothing) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

var _ json.Marshaler = nothing{}

// A payload of null is no event of zeros, however it came; nor is one emitted.
func TestNullIsNoPayload(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"null", " null\n"} {
		if e, err := decode[fuzzed](&journal.Event{Type: "test.fuzzed", Version: 2, Data: []byte(text)}, 100, nil); err == nil || !strings.Contains(err.Error(), "null") {
			t.Errorf("%q became %+v: %v", text, e, err)
		}
	}
	b := &Bus{cfg: Config{MaxPayload: 100}}
	if _, err := b.sealOne(nothing{}, origin{module: &Module{}, declared: map[string]bool{"test.nothing": true}}); err == nil || !strings.Contains(err.Error(), "null") {
		t.Errorf("null is emitted: %v", err)
	}
}

// What another program sent as something else than JSON passed the ingest unread: it is held to the rule when it is decoded.
func TestPayloadsThatCameAsSomethingElse(t *testing.T) {
	t.Parallel()
	for text, wants := range map[string]string{`{"key":"a"}`: "", `{"key":"a","key":"b"}`: "twice", `{"key":"\ud800"}`: "surrogate"} {
		e := &journal.Event{Type: "test.fuzzed", Version: 2, Data: []byte(text), Metadata: map[string]string{"content-type": "text/plain"}}
		_, err := decode[fuzzed](e, 100, nil)
		if wants == "" && err != nil || wants != "" && (err == nil || !strings.Contains(err.Error(), wants)) {
			t.Errorf("%s: %v, want %q", text, err, wants)
		}
	}
}

// The id that a caller chose for a flow goes to the others, who take no other kind.
func TestCorrelationIDsAreNames(t *testing.T) {
	t.Parallel()
	b := &Bus{cfg: Config{MaxPayload: 100}}
	for id, good := range map[string]bool{"order-1": true, "": true, "a\u202eb": false, "a\nb": false, "\xff": false} {
		_, err := b.sealOne(fuzzed{}, origin{module: &Module{}, declared: map[string]bool{"test.fuzzed": true}, correlation: id})
		if (err == nil) != good {
			t.Errorf("%q: %v", id, err)
		}
	}
}
