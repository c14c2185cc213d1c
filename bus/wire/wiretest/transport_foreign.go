package wiretest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// stray is a message of another program, and the expected result.
type stray struct {
	name string
	Foreign
	event bool // decodes as an event
}

// cloudEvent returns the headers of an event in binary mode, changed by pairs of names and values; "" deletes a name.
func cloudEvent(pairs ...string) map[string]string {
	headers := map[string]string{"ce_specversion": "1.0", "ce_id": "foreign-1", "ce_type": "order.placed", "ce_source": "elsewhere"}
	for i := 0; i+1 < len(pairs); i += 2 {
		if headers[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(headers, pairs[i])
		}
	}
	return headers
}

// strays returns messages of another program. Most have the key "k", and so a known order.
func strays() []stray {
	k := []byte("k")
	structured := `{"specversion":"1.0","id":"foreign-2","type":"order.placed","source":"elsewhere","subject":"k","data":{"n":1}}`
	return []stray{
		{"no headers at all", Foreign{Key: k, Payload: []byte("hello")}, false},
		{"binary garbage", Foreign{Key: k, Payload: []byte("\x00\xff\xfe\x01{")}, false},
		{"a null payload", Foreign{Key: k}, false},
		{"an event with the key in the record only", Foreign{Key: k, Headers: cloudEvent(), Payload: []byte(`{}`)}, true},
		{"an event with another key in the record", Foreign{Key: k, Headers: cloudEvent("ce_subject", "other"), Payload: []byte(`{}`)}, true},
		{"an event without an id", Foreign{Key: k, Headers: cloudEvent("ce_id", "", "ce_subject", "k"), Payload: []byte(`{}`)}, false},
		{"an event of another version", Foreign{Key: k, Headers: cloudEvent("ce_specversion", "0.3"), Payload: []byte(`{}`)}, false},
		{"an event in structured mode", Foreign{Key: k, Headers: map[string]string{"content-type": "application/cloudevents+json"},
			Payload: []byte(structured)}, true},
		{"headers that are the transport's", Foreign{Key: k, Headers: cloudEvent(wire.MetaPosition, "forged", wire.MetaKey, "forged",
			wire.MetaTrouble, "forged"), Payload: []byte(`{}`)}, true},
		{"no key", Foreign{Headers: map[string]string{"name": "value"}, Payload: []byte("hello")}, false},
		{"a binary key", Foreign{Key: []byte("\x00\xff\xfe"), Payload: []byte("hello")}, false},
		{"binary headers", Foreign{Headers: map[string]string{"name": "\x00\xff\xfe"}, Payload: []byte("hello")}, false},
	}
}

// checkForeign writes messages of another program between published messages. Each message must arrive in order, and
// must be the same when delivered again.
func checkForeign(s *stage) error {
	p := s.start("sender")
	if err := p.publish(letter("k", 0)); err != nil {
		return err
	}
	var wrote []stray
	for _, m := range strays() {
		err := s.foreign(m.Foreign)
		if errors.Is(err, errors.ErrUnsupported) {
			s.tb.Logf("left out, because no program can write the message: %s", m.name)
			continue
		}
		if err != nil {
			return fmt.Errorf("write past the transport: %s: %w", m.name, err)
		}
		wrote = append(wrote, m)
	}
	if err := p.publish(letter("k", 1)); err != nil {
		return err
	}
	first, err := s.readStrays(wrote)
	if err != nil {
		return err
	}
	again, err := s.readStrays(wrote)
	if err != nil {
		return fmt.Errorf("delivered again: %w", err)
	}
	for position, msg := range first {
		other, ok := again[position]
		if !ok || other.UUID != msg.UUID || !maps.Equal(other.Metadata, msg.Metadata) ||
			!bytes.Equal(other.Payload, msg.Payload) {
			return fmt.Errorf("the message at %s changed when delivered again: it was %s, and is %s", position, sketch(msg), sketch(other))
		}
	}
	return nil
}

// readStrays reads all messages in a new process without acknowledgements, and returns the messages by position.
func (s *stage) readStrays(wrote []stray) (map[string]*message.Message, error) {
	p := s.start("reader")
	r := p.read()
	byPosition := map[string]*message.Message{}
	var inOrder, others []*message.Message
	for len(byPosition) < len(wrote)+2 {
		msg, err := r.next(func() string { return fmt.Sprintf("read %d of %d messages", len(byPosition), len(wrote)+2) })
		if err != nil {
			return nil, err
		}
		position := positionOf(msg)
		switch {
		case position == "" || msg.UUID == "":
			return nil, fmt.Errorf("a message has no %s or no id: %s", wire.MetaPosition, sketch(msg))
		case byPosition[position] != nil:
			continue
		case wire.Key(msg) == "k":
			inOrder = append(inOrder, msg)
		default:
			others = append(others, msg)
		}
		byPosition[position] = msg
	}
	if err := errors.Join(r.end(), p.close()); err != nil {
		return nil, err
	}
	return byPosition, recognize(wrote, inOrder, others)
}

// recognize compares written with received messages: in order for the key "k", in any order for other keys.
func recognize(wrote []stray, inOrder, others []*message.Message) error {
	if len(inOrder) == 0 || inOrder[0].UUID != letterID("k", 0) {
		return fmt.Errorf("the first message of the key is not the first that was sent: %v", inOrder)
	}
	inOrder = inOrder[1:]
	for _, m := range wrote {
		from := &others
		if string(m.Key) == "k" {
			from = &inOrder
		}
		found := false
		for i, msg := range *from {
			if err := m.is(msg); err == nil {
				*from, found = append((*from)[:i:i], (*from)[i+1:]...), true
			} else if from == &inOrder {
				return fmt.Errorf("%s: %w: %s", m.name, err, sketch(msg))
			}
			if found || from == &inOrder {
				break
			}
		}
		if !found {
			return fmt.Errorf("%s: the message did not arrive", m.name)
		}
	}
	if len(inOrder) != 1 || inOrder[0].UUID != letterID("k", 1) {
		return fmt.Errorf("the last message of the key is not the last that was sent: %v", inOrder)
	}
	return nil
}

// is compares a received message with the written message.
func (m stray) is(msg *message.Message) error {
	headers := map[string]string{}
	for name, value := range m.Headers {
		if wire.Sent(name) {
			headers[name] = value
		}
	}
	if got := sentMeta(msg); !maps.Equal(got, headers) {
		return fmt.Errorf("its headers became %s", changed(got, headers))
	}
	if !bytes.Equal(msg.Payload, m.Payload) {
		return fmt.Errorf("its bytes became %q", msg.Payload)
	}
	if key := wire.Key(msg); key != string(m.Key) {
		return fmt.Errorf("its key became %q", key)
	}
	if positionOf(msg) == "forged" || msg.Metadata[wire.MetaTrouble] != "" {
		return errors.New("the transport took a header of the message for its own")
	}
	if e, err := wire.Decode(msg); (err == nil) != m.event {
		return fmt.Errorf("decoding returns %v", err)
	} else if m.event && e.Key != string(m.Key) {
		return fmt.Errorf("the decoded event has the key %q", e.Key)
	}
	return nil
}
