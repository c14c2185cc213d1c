package postgres

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// escaped begins a text that PostgreSQL cannot store as it is, with zero bytes or without valid UTF-8. A text that
// happens to begin like this is escaped, too.
const escaped = "\x01b64:"

func escape(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 && !strings.HasPrefix(s, escaped) {
		return s
	}
	return escaped + base64.StdEncoding.EncodeToString([]byte(s))
}

// unescape reverses escape, and returns other texts unchanged.
func unescape(s string) string {
	text, ok := strings.CutPrefix(s, escaped)
	if !ok {
		return s
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return s
	}
	return string(b)
}

// encodeMetadata returns the metadata of msg that are sent, as JSON.
func encodeMetadata(msg *message.Message) (string, error) {
	meta := make(map[string]string, len(msg.Metadata))
	for name, value := range msg.Metadata {
		if wire.Sent(name) {
			meta[escape(name)] = escape(value)
		}
	}
	b, err := json.Marshal(meta)
	return string(b), err
}

// keyOf returns the value of the key column; NULL for a message without a key.
func keyOf(msg *message.Message) *string {
	key := wire.Key(msg)
	if _, ok := msg.Metadata[wire.MetaKey]; !ok && key == "" {
		return nil
	}
	key = escape(key)
	return &key
}

// row is a row of a table of messages.
type row struct {
	position position
	uuid     string
	key      *string
	payload  []byte
	metadata []byte // should be JSON, but other programs may write other text
}

// message converts a row to a message. It never fails: rows of other programs arrive, whatever they contain. found
// names the position.
func (r row) message(found string) *message.Message {
	msg := message.NewMessage(unescape(r.uuid), r.payload)
	if msg.UUID == "" {
		msg.UUID = found
	}
	for name, value := range decodeMetadata(r.metadata) {
		if wire.Sent(name) {
			msg.Metadata[name] = value
		}
	}
	if r.key != nil {
		if key := unescape(*r.key); key != wire.Key(msg) {
			msg.Metadata[wire.MetaKey] = key
		}
	}
	msg.Metadata[wire.MetaPosition] = found
	return msg
}

// decodeMetadata keeps a value other than a string as JSON, and metadata other than an object as a single value.
func decodeMetadata(b []byte) map[string]string {
	if len(b) == 0 {
		return nil
	}
	meta := map[string]string{}
	var texts map[string]string
	if json.Unmarshal(b, &texts) == nil {
		for name, value := range texts {
			meta[unescape(name)] = unescape(value)
		}
		return meta
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(b, &values) != nil {
		return map[string]string{"metadata": string(b)}
	}
	for name, raw := range values {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		meta[unescape(name)] = unescape(text)
	}
	return meta
}

// position is the position of a message. Positions are ordered by transaction, and within a transaction by offset.
type position struct {
	transaction uint64
	offset      int64
}

// name returns the position in a table, for people.
func (p position) name(table string) string { return fmt.Sprintf("%s/%d", table, p.offset) }
