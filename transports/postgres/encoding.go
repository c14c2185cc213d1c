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

// escaped begins what PostgreSQL has no text for: zero bytes, and what is not UTF-8. Nobody begins a text like this by chance;
// where somebody does, it is escaped, too.
const escaped = "\x01b64:"

func escape(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 && !strings.HasPrefix(s, escaped) {
		return s
	}
	return escaped + base64.StdEncoding.EncodeToString([]byte(s))
}

// unescape leaves as it is what escape has not made.
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

// encodeMetadata is what of msg's metadata is sent.
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

// keyOf is the column of the key: NULL where ce_subject speaks for itself.
func keyOf(msg *message.Message) *string {
	key := wire.Key(msg)
	if _, ok := msg.Metadata[wire.MetaKey]; !ok && key == "" {
		return nil
	}
	key = escape(key)
	return &key
}

// row is what a reader reads.
type row struct {
	place    place
	uuid     string
	key      *string
	payload  []byte
	metadata []byte // JSON, or what somebody took for it
}

// message never fails: what another program wrote arrives, whatever it is. found names where.
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

// decodeMetadata keeps values that are no strings as the JSON that they are, and what is no object whole.
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

// place is where a message is. Places are in the order of their transactions, and in a transaction in that of their offsets.
type place struct {
	transaction uint64
	offset      int64
}

// in is the place in a table, for people.
func (p place) in(table string) string { return fmt.Sprintf("%s/%d", table, p.offset) }
