package bus

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/troupebus/troupe/bus/journal"
)

type fuzzed struct {
	Key   string         `json:"key"`
	Lines []fuzzedLine   `json:"lines"`
	More  map[string]any `json:"more"`
}

type fuzzedLine struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

func (fuzzed) EventType() string { return "test.fuzzed" }
func (fuzzed) EventVersion() int { return 2 }

// EventKey is the key.
func (f fuzzed) EventKey() string { return f.Key }

// Whatever the bytes are, the one decode path answers with an error or with a value that says the same when it is encoded
// and decoded once more.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "{}", "null", `{"key":"k","lines":[{"sku":"a","quantity":1}]}`, `{"key":"\ud800"}`, "{\"key\":\"\xff\"}", `{"more":{"a":[1,{}]}}`, `[1]`, `{"key":1e999}`} {
		f.Add([]byte(s), 2)
	}
	f.Add([]byte("{}"), 3)
	const limit = 1 << 10
	b := &Bus{cfg: Config{MaxPayload: 1 << 20, MaxHops: 1}}
	f.Fuzz(func(t *testing.T, data []byte, version int) {
		got, err := decode[fuzzed](&journal.Event{Type: "test.fuzzed", Version: version, Data: data}, limit, nil)
		if err != nil {
			return
		}
		if version != 2 || len(data) > limit || !utf8.Valid(data) || strings.TrimSpace(string(data)) == "null" {
			t.Fatalf("accepted version %d, %d bytes, %q", version, len(data), data)
		}
		sealed, err := b.sealOne(got, origin{module: &Module{}, declared: map[string]bool{"test.fuzzed": true}})
		if err != nil {
			t.Fatalf("cannot encode what was decoded: %v", err)
		}
		again, err := decode[fuzzed](sealed, 1<<20, nil)
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%q became %+v, then %+v: %v", data, got, again, err)
		}
	})
}
