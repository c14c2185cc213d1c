package bustest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
)

// contract is what lasts longer than a process, and is known outside of it: what is on record in journals, and what other
// programs rely on.
type contract struct {
	Events        map[string]eventContract `json:"events"`
	Subscriptions map[string]string        `json:"subscriptions"` // by name, the type that it consumes
}

// eventContract is the contract of one event type.
type eventContract struct {
	Version int               `json:"version"`
	Emitter string            `json:"emitter,omitempty"`
	Keyed   bool              `json:"keyed"`
	Fields  map[string]string `json:"fields"` // by path, "lines[].sku", the type in JSON
}

// Contract compares what b's modules promise on the wire with the file at path, such as testdata/contract.json: every event
// type with its version, emitter, the JSON that its Go type stands for, and whether it has a key; and every subscription's
// name, with what it consumes. Each change is reported as compatible or as breaking, with the reason, and any fails t until
// the file is written anew, by the flag -update: a change of the contract is seen in the diff of this file.
//
// b need not run, nor have a journal that works. What is optional or may be null is no part of it, for encoding/json reads
// either as the zero value; nor is how a type that encodes itself does it, beyond the kind of JSON of its zero value.
func Contract(t testing.TB, b *bus.Bus, path string) {
	t.Helper()
	now := contractOf(b.Wiring())
	text, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		t.Fatalf("bustest: contract: %v", err)
		return
	}
	golden(t, path, string(text)+"\n", func(is, want string) string {
		var before contract
		d := json.NewDecoder(strings.NewReader(want))
		d.DisallowUnknownFields()
		if err := d.Decode(&before); err != nil {
			return fmt.Sprintf("it holds no contract: %v", err)
		}
		changes := before.changes(now)
		if len(changes) == 0 {
			return "the contract is the same, but is written in another way (- file, + contract)\n" + diffLines(want, is)
		}
		return reportChanges(changes)
	})
}

func contractOf(w bus.Wiring) contract {
	c := contract{Events: map[string]eventContract{}, Subscriptions: map[string]string{}}
	for _, e := range w.Events {
		c.Events[e.Type] = eventContract{Version: e.Version, Emitter: e.Emitter, Keyed: keyed(e.Go), Fields: shapeOf(e.Go)}
	}
	for _, s := range w.Subscriptions {
		c.Subscriptions[s.Name] = s.Consumes
	}
	return c
}

// reportChanges writes one line for each, those that break something first.
func reportChanges(changes []change) string {
	var b bytes.Buffer
	breaking := 0
	for _, c := range changes {
		if c.breaking {
			breaking++
			fmt.Fprintf(&b, "\n  BREAKING    %s", c.what)
		}
	}
	for _, c := range changes {
		if !c.breaking {
			fmt.Fprintf(&b, "\n  compatible  %s", c.what)
		}
	}
	if breaking == 0 {
		return "the contract has changed, compatibly:" + b.String()
	}
	return fmt.Sprintf("THE CONTRACT IS BROKEN, by %d of %s:%s", breaking, plural(len(changes), "change"), b.String())
}
