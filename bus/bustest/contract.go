package bustest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/internal/shape"
	"github.com/troupebus/troupe/bus/journal"
)

// contract is the part of a wiring that outlives a process and is known outside: the records in journals, and the
// promises to other programs.
type contract struct {
	Events        map[string]eventContract `json:"events"`
	Subscriptions map[string]journal.Types `json:"subscriptions"` // by name, the consumed types

	was map[string]string // by earlier name, the present name of a subscription
}

// eventContract is the contract of one event type.
type eventContract struct {
	Version int               `json:"version"`
	Emitter string            `json:"emitter,omitempty"`
	Keyed   bool              `json:"keyed"`
	Fields  map[string]string `json:"fields"` // by path, such as "lines[].sku", the type in JSON
}

// Contract compares the promises of b's modules with the file at path, for example testdata/contract.json. The file has
// every event type with its version, its emitter, the JSON shape of its Go type, and whether the type has a key; and
// every subscription with the consumed types. Contract reports each change as compatible or breaking, with the reason.
// Any change fails t, until the flag -update writes the file again, so that a change of the contract shows in the diff
// of the file.
//
// b need not run, and its journal need not work. Optional and nullable fields are not recorded, because encoding/json
// reads an absent value and null as the zero value. For a type with its own encoding, only the JSON kind of the zero
// value is recorded.
func Contract(t testing.TB, b *bus.Bus, path string) {
	t.Helper()
	now := contractOf(b.Wiring())
	text, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		t.Fatalf("bustest: contract: %v", err)
		return
	}
	golden(t, path, string(text)+"\n", func(got, want string) string {
		var before contract
		d := json.NewDecoder(strings.NewReader(want))
		d.DisallowUnknownFields()
		if err := d.Decode(&before); err != nil {
			return fmt.Sprintf("it holds no contract: %v", err)
		}
		changes := before.changes(now)
		if len(changes) == 0 {
			return "the contract is the same, but the text differs (- file, + contract)\n" + diffLines(want, got)
		}
		return reportChanges(changes)
	})
}

func contractOf(w bus.Wiring) contract {
	c := contract{Events: map[string]eventContract{}, Subscriptions: map[string]journal.Types{}, was: map[string]string{}}
	for _, e := range w.Events {
		c.Events[e.Type] = eventContract{
			Version: e.Version, Emitter: e.Emitter, Keyed: shape.Keyed(e.Go), Fields: shape.Of(e.Go),
		}
	}
	for _, s := range w.Subscriptions {
		c.Subscriptions[s.Name] = s.Consumes
		for _, was := range s.Was {
			c.was[was] = s.Name
		}
	}
	return c
}

// reportChanges returns one line for each change, breaking changes first.
func reportChanges(changes []change) string {
	var b bytes.Buffer
	breaking := 0
	for _, c := range changes {
		if c.breaking {
			breaking++
			fmt.Fprintf(&b, "\n  BREAKING    %s", c.text)
		}
	}
	for _, c := range changes {
		if !c.breaking {
			fmt.Fprintf(&b, "\n  compatible  %s", c.text)
		}
	}
	if breaking == 0 {
		return "the contract has changed, compatibly:" + b.String()
	}
	return fmt.Sprintf("THE CONTRACT IS BROKEN, by %d of %s:%s", breaking, plural(len(changes), "change"), b.String())
}
