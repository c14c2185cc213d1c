package kafka

import (
	"encoding/binary"
	"strconv"

	"github.com/IBM/sarama"
	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// Headers beside the metadata.
const (
	// uuidHeader contains the UUID of a message that is not a CloudEvent, as in watermill-kafka.
	uuidHeader    = wkafka.UUIDHeaderKey
	idHeader      = "ce_id"
	subjectHeader = "ce_subject"
)

// Marshaler lets programs use watermill-kafka's own Publisher and Subscriber on the topics of a Transport. It converts
// between messages and records as a Transport does.
type Marshaler struct{}

var _ wkafka.MarshalerUnmarshaler = Marshaler{}

// Marshal implements watermill-kafka's Marshaler. It never fails.
func (Marshaler) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	r := &records([]*message.Message{msg})[0]
	out := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(r.Value)}
	if r.Key != nil {
		out.Key = sarama.ByteEncoder(r.Key)
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, *h)
	}
	return out, nil
}

// Unmarshal implements watermill-kafka's Unmarshaler. It never fails.
func (Marshaler) Unmarshal(m *sarama.ConsumerMessage) (*message.Message, error) {
	headers := make([]sarama.RecordHeader, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = *h
	}
	return newMessage(m.Key, m.Value, headers, positionName(m.Topic, m.Partition, m.Offset), map[string]string{}), nil
}

// record is a message in Kafka's form.
type record struct {
	sarama.Record
	size int // in bytes, at most
}

// records converts msgs to records, which share the payloads. All small parts come from four allocations, as a relay
// spends its time here.
func records(msgs []*message.Message) []record {
	headers, bytes := 0, 0
	for _, m := range msgs {
		headers += len(m.Metadata) + 1
		bytes += len(wire.Key(m)) + len(uuidHeader) + len(m.UUID)
		for k, v := range m.Metadata {
			bytes += len(k) + len(v)
		}
	}
	out := make([]record, len(msgs))
	arena := make([]byte, 0, bytes)
	header, pointer := make([]sarama.RecordHeader, 0, headers), make([]*sarama.RecordHeader, 0, headers)
	keep := func(s string) []byte {
		arena = append(arena, s...)
		return arena[len(arena)-len(s) : len(arena) : len(arena)]
	}
	for i, m := range msgs {
		r, first := &out[i], len(pointer)
		r.size = overhead(0)
		add := func(k, v string) {
			header = append(header, sarama.RecordHeader{Key: keep(k), Value: keep(v)})
			pointer = append(pointer, &header[len(header)-1])
			r.size += overhead(1) - overhead(0) + len(k) + len(v)
		}
		for k, v := range m.Metadata {
			if k != uuidHeader && wire.Sent(k) {
				add(k, v)
			}
		}
		if m.UUID != "" && m.UUID != m.Metadata[idHeader] {
			add(uuidHeader, m.UUID)
		}
		r.Headers = pointer[first:len(pointer):len(pointer)]
		if key := wire.Key(m); key != "" { // to Kafka, an empty key is a key: all records without a key would share a partition
			r.Key = keep(key)
		}
		if r.Value = m.Payload; r.Value == nil {
			r.Value = []byte{} // to Kafka, a nil value is a tombstone
		}
		r.size += len(r.Key) + len(r.Value)
	}
	return out
}

// overhead is the most that a record takes beside its bytes. The numbers in a record and in its headers are varints.
func overhead(headers int) int {
	return 5*binary.MaxVarintLen32 + binary.MaxVarintLen64 + 1 + headers*2*binary.MaxVarintLen32
}

// positionName returns a record's position, for people.
func positionName(topic string, partition int32, offset int64) string {
	b := make([]byte, 0, len(topic)+32)
	b = append(append(b, topic...), '/')
	b = append(strconv.AppendInt(b, int64(partition), 10), '/')
	return string(strconv.AppendInt(b, offset, 10))
}

// newMessage converts a record to a message, which shares the payload. It adds new names of headers to names.
func newMessage(key, value []byte, headers []sarama.RecordHeader, at string, names map[string]string) *message.Message {
	bytes := 0
	for _, h := range headers {
		bytes += len(h.Value)
	}
	values := make([]byte, 0, bytes)
	for _, h := range headers {
		values = append(values, h.Value...)
	}
	text, id := string(values), "" // all values are parts of the same string
	meta := make(message.Metadata, len(headers)+1)
	for _, h := range headers {
		var v string
		v, text = text[:len(h.Value)], text[len(h.Value):]
		switch name := intern(names, h.Key); {
		case name == uuidHeader:
			id = v
		case wire.Sent(name): // other programs cannot set the transport's own metadata
			meta[name] = v
		}
	}
	if id == "" {
		if id = meta[idHeader]; id == "" {
			id = at
		}
	}
	meta[wire.MetaPosition] = at
	if key != nil && string(key) != meta[subjectHeader] {
		meta[wire.MetaKey] = string(key)
	}
	if value == nil {
		value = []byte{}
	}
	msg := message.NewMessage(id, value[:len(value):len(value)]) // the bytes after value belong to the next record
	msg.Metadata = meta
	return msg
}

// intern returns b as a string, the same string for equal b: a topic has few names of headers, but many messages.
func intern(names map[string]string, b []byte) string {
	if s, ok := names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(names) < 256 {
		names[s] = s
	}
	return s
}
