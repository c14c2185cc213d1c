package wiretest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

const (
	mib = 1 << 20
	// greatestTried is the largest payload in the suite.
	greatestTried = 16 * mib
)

func checkFeatures(s *stage) error {
	f := s.start("any").Features()
	if f.Name == "" || f.MaxPayload < 0 {
		return fmt.Errorf("features are %+v: want a name, and a limit that is 0 or more", f)
	}
	return s.start("any").publish() // no messages: not an error
}

// checkRoundTrip sends events and plain messages with parts that are difficult for some formats.
func checkRoundTrip(s *stage) error {
	p := s.start("reader")
	sent := append(awkwardEvents(p.Features().MaxPayload), awkwardMessages()...)
	for i, msg := range sent {
		msg.Metadata["case"] = fmt.Sprint(i)
		if err := p.publish(fresh(sent[i : i+1])...); err != nil {
			return fmt.Errorf("publish %s: %w", sketch(msg), err)
		}
	}
	r := p.read()
	missing := map[string]*message.Message{}
	for _, msg := range sent {
		missing[msg.Metadata["case"]] = msg
	}
	for len(missing) > 0 {
		msg, err := r.next(func() string {
			var lines []string
			for _, msg := range missing {
				lines = append(lines, sketch(msg))
			}
			return "missing " + strings.Join(lines, "; ")
		})
		if err != nil {
			return err
		}
		want, ok := missing[msg.Metadata["case"]]
		if ok {
			if err := same(msg, want); err != nil {
				return fmt.Errorf("%s: %w", sketch(want), err)
			}
			delete(missing, msg.Metadata["case"])
		}
		msg.Ack()
	}
	return r.end()
}

// sketch returns a short text for a message.
func sketch(msg *message.Message) string {
	meta := maps.Clone(msg.Metadata)
	for name, value := range meta {
		meta[name] = journal.Clip(value, maxShown)
	}
	return fmt.Sprintf("message %q of %d bytes %.40q with %q", msg.UUID, len(msg.Payload), msg.Payload, map[string]string(meta))
}

// same compares a received message with the sent message. A message without an id must arrive with an id.
func same(got, want *message.Message) error {
	if want.UUID != "" && got.UUID != want.UUID || got.UUID == "" {
		return fmt.Errorf("its id became %q", got.UUID)
	}
	if !bytes.Equal(got.Payload, want.Payload) {
		return fmt.Errorf("its bytes became %d bytes %.40q", len(got.Payload), got.Payload)
	}
	if g, w := sentMeta(got), sentMeta(want); !maps.Equal(g, w) {
		return fmt.Errorf("its metadata became %s", changed(g, w))
	}
	if g, w := wire.Key(got), wire.Key(want); g != w {
		return fmt.Errorf("its key became %.80q, and was %.80q", g, w)
	}
	if positionOf(got) == "" || positionOf(got) == positionOf(want) {
		return fmt.Errorf("its %s is %q: want the position in the backend", wire.MetaPosition, positionOf(got))
	}
	if got.Metadata[wire.MetaTrouble] != "" {
		return fmt.Errorf("it has a %s: %s", wire.MetaTrouble, got.Metadata[wire.MetaTrouble])
	}
	w, werr := wire.Decode(want)
	g, gerr := wire.Decode(got)
	if (gerr == nil) != (werr == nil) {
		return fmt.Errorf("decoding returns %v, and before it was sent %v", gerr, werr)
	}
	if gerr == nil && !equalEvents(g, w) {
		return fmt.Errorf("the message decodes as another event:\n%+v\nwant\n%+v", g, w)
	}
	return nil
}

// equalEvents compares events, and treats nil data like empty data.
func equalEvents(a, b *journal.Event) bool {
	a2, b2 := *a, *b
	a2.Data, b2.Data = nil, nil
	return reflect.DeepEqual(a2, b2) && bytes.Equal(a.Data, b.Data)
}

// sentMeta returns metadata without the transport's own names. A receiver must not get such names from a sender.
func sentMeta(msg *message.Message) map[string]string {
	meta := map[string]string{}
	for name, value := range msg.Metadata {
		if wire.Sent(name) {
			meta[name] = value
		}
	}
	return meta
}

// changed describes the differences between two sets of metadata.
func changed(got, want map[string]string) string {
	var lines []string
	for name, w := range want {
		if g, ok := got[name]; !ok || g != w {
			lines = append(lines, fmt.Sprintf("%q: %.80q (there: %v), want %.80q", name, g, ok, w))
		}
	}
	for name, g := range got {
		if _, ok := want[name]; !ok {
			lines = append(lines, fmt.Sprintf("%q: %.80q, want none", name, g))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// awkwardEvents returns difficult events as messages. limit is the largest payload, or 0.
func awkwardEvents(limit int) []*message.Message {
	binary := make([]byte, 1024)
	for i := range binary {
		binary[i] = byte(i)
	}
	large := make([]byte, mib)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(large) // never fails
	events := []journal.Event{
		{}, {Data: []byte{}}, {Data: binary},
		{Data: []byte("\x00")},
		{Data: []byte("\xff\xfe invalid \xc3\x28 UTF-8")},
		{Data: large},
		{Key: "größe/日本語/🐙"},
		{Key: `with "quotes", \back\slashes, 'and' %s ; --`},
		{Key: " spaces around\tand within\n"},
		{Key: strings.Repeat("long key ", 1000)},
		{Key: "a", CausationID: "cause", Subscription: "inventory/reserve-stock", Hops: 3, Version: 7},
		{Metadata: map[string]string{"mine": "value", "X-Upper": "Y", "with space": "a b", "dotted.name": "1", "ünïcode": "日本"}},
		{Metadata: map[string]string{"newline": "a\r\nb", "quotes": `"'` + "`", "nul": "a\x00b", "json": `{"a":[1]}`, "empty": ""}},
		{Metadata: map[string]string{"long": strings.Repeat("0123456789", 2000), "percent": "%d%00%zz", "spaces": "  "}},
		{Metadata: map[string]string{"content-type": "text/plain; charset=utf-8", "ce_traceparent": "00-1-2-03"}, Data: []byte("plain")},
		{Metadata: map[string]string{"content-type": "application/protobuf", "ce_encryptionkey": "größe 1"}, Data: binary},
		{Metadata: map[string]string{"content-type": "application/protobuf"}, Data: []byte{}},
		{Metadata: map[string]string{"_troupe_place": "forged", "_troupe_other": "x", "_troupe": "kept"}},
	}
	var messages []*message.Message
	for i, e := range events {
		if limit > 0 && len(e.Data) > limit {
			continue
		}
		e.ID, e.Type, e.Source = fmt.Sprintf("event-%d", i), "order.placed", "order"
		e.CorrelationID, e.Version = "flow", max(e.Version, 1)
		e.Time = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
		messages = append(messages, wire.Encode(&e))
	}
	return messages
}

// awkwardMessages returns Watermill messages that are no events.
func awkwardMessages() []*message.Message {
	plain := func(id, payload string, meta map[string]string) *message.Message {
		msg := message.NewMessage(id, []byte(payload))
		maps.Copy(msg.Metadata, meta)
		return msg
	}
	return []*message.Message{
		plain("3f1c7a5e-0d8b-4f7e-9a55-3a8c2f3b9d11", "plain", nil),
		plain("an id with spaces, ünïcode", "\x00\xff", map[string]string{"name": "value"}),
		plain("", "a message without an id", nil),
		plain("keyed", "its key is not among the attributes", map[string]string{wire.MetaKey: "own key"}),
		plain("two keys", "", map[string]string{wire.MetaKey: "own key", "ce_subject": "another"}),
		plain("forged", "", map[string]string{wire.MetaPosition: "forged", wire.MetaTrouble: "forged", "_troupe_mine": "x"}),
	}
}

// checkGreatest sends a payload of the largest size that the transport names, and a larger payload. The transport must
// refuse the larger payload by its index in the call, or deliver the payload. Other messages must not suffer.
func checkGreatest(s *stage) error {
	p := s.start("reader")
	limit := p.Features().MaxPayload
	if limit == 0 || limit > greatestTried {
		s.tb.Logf("no check: MaxPayload is %d, no limit or more than the suite tries", limit)
		return nil
	}
	content := make([]byte, limit+1)
	random := rand.NewChaCha8([32]byte{2})
	_, _ = random.Read(content) // never fails
	message := func(id string, size int) *message.Message {
		msg := letter("a", 0)
		msg.UUID, msg.Payload = id, content[:size]
		return msg
	}
	want := map[string]int{"greatest": limit, "before": 1, "after": 1}
	if err := p.publish(message("greatest", limit)); err != nil {
		return fmt.Errorf("publish %d bytes, which MaxPayload allows: %w", limit, err)
	}
	var refusal *wire.Refused
	switch err := p.publish(message("before", 1), message("too large", limit+1), message("after", 1)); {
	case err == nil:
		want["too large"] = limit + 1
	case !errors.As(err, &refusal) || refusal.At != 1:
		return fmt.Errorf("publish a message that is too large between two small ones: want a wire.Refused with its index: %w", err)
	default:
		if err := p.publish(message("before", 1), message("after", 1)); err != nil {
			return fmt.Errorf("publish small messages after one that was too large: %w", err)
		}
	}
	r := p.read()
	for len(want) > 0 {
		msg, err := r.next(func() string { return fmt.Sprintf("missing, with their sizes: %v", want) })
		if err != nil {
			return err
		}
		if size, ok := want[msg.UUID]; ok && !bytes.Equal(msg.Payload, content[:size]) {
			return fmt.Errorf("a payload of %d bytes became %d bytes, or other bytes", size, len(msg.Payload))
		}
		delete(want, msg.UUID)
		msg.Ack()
	}
	return r.end()
}
