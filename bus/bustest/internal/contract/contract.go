// Package contract compares the promises of two versions of a program.
package contract

import (
	"bytes"
	"fmt"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest/internal/text"
	"github.com/troupebus/troupe/bus/internal/payload"
	"github.com/troupebus/troupe/bus/internal/shape"
	"github.com/troupebus/troupe/bus/journal"
)

// Contract is the part of a wiring that outlives a process and is known outside: the records in journals, and the
// promises to other programs.
type Contract struct {
	Events        map[string]eventContract `json:"events"`
	Subscriptions map[string]journal.Types `json:"subscriptions"` // by name, the consumed types

	was map[string]string // by earlier name, the present name of a subscription
}

// eventContract is the contract of one event type.
type eventContract struct {
	Version int               `json:"version"`
	Emitter string            `json:"emitter,omitempty"`
	Keyed   bool              `json:"keyed"`
	Fields  map[string]string `json:"fields"` // by path, such as "lines[].sku", the type in JSON; none with a codec

	ContentType string `json:"content_type,omitempty"` // of the codec
	Schema      string `json:"schema,omitempty"`       // of the codec
	Encrypted   bool   `json:"encrypted,omitempty"`
}

// Of returns the contract of a wiring.
func Of(w bus.Wiring) Contract {
	c := Contract{Events: map[string]eventContract{}, Subscriptions: map[string]journal.Types{}, was: map[string]string{}}
	for _, e := range w.Events {
		t := w.Go[e.Type]
		now := eventContract{Version: e.Version, Emitter: e.Emitter, Keyed: shape.Keyed(t), Fields: map[string]string{}}
		if now.ContentType, now.Schema, now.Encrypted = payload.About(t); now.ContentType == "" {
			now.Fields = shape.Of(t)
		}
		c.Events[e.Type] = now
	}
	for _, s := range w.Subscriptions {
		c.Subscriptions[s.Name] = s.Consumes
		for _, was := range s.Was {
			c.was[was] = s.Name
		}
	}
	return c
}

// Changes returns the differences between c and now, one line for each change, breaking changes first; "" for none.
func (c Contract) Changes(now Contract) string {
	changes := c.changes(now)
	if len(changes) == 0 {
		return ""
	}
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
	return fmt.Sprintf("THE CONTRACT IS BROKEN, by %d of %s:%s", breaking, text.Plural(len(changes), "change"), b.String())
}
