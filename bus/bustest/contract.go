package bustest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest/internal/contract"
	"github.com/troupebus/troupe/bus/bustest/internal/text"
)

// Contract compares the promises of b's modules with the file at path, for example testdata/contract.json. The file has
// every event type with its version, its emitter, the JSON shape of its Go type, or the content type and the schema of
// its codec, whether the type has a key, and whether the payloads are encrypted; and every subscription with the
// consumed types. Contract reports each change as compatible or breaking, with the reason.
// Any change fails t, until the flag -update writes the file again, so that a change of the contract shows in the diff
// of the file.
//
// b need not run, and its journal need not work. Optional and nullable fields are not recorded, because encoding/json
// reads an absent value and null as the zero value. For a type with its own encoding, only the JSON kind of the zero
// value is recorded.
func Contract(t testing.TB, b *bus.Bus, path string) {
	t.Helper()
	now := contract.Of(b.Wiring())
	file, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		t.Fatalf("bustest: contract: %v", err)
		return
	}
	golden(t, path, string(file)+"\n", func(got, want string) string {
		var before contract.Contract
		d := json.NewDecoder(strings.NewReader(want))
		d.DisallowUnknownFields()
		if err := d.Decode(&before); err != nil {
			return fmt.Sprintf("it holds no contract: %v", err)
		}
		return cmp.Or(before.Changes(now), "the contract is the same, but the text differs (- file, + contract)\n"+text.Diff(want, got))
	})
}
