package sqlite

import (
	"bytes"
	"maps"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// The attributes of an event as metadata of a Watermill message: what is a column here is a header on the wire
// (CloudEvents 1.0, Kafka protocol binding, binary content mode).
const (
	metaKey         = "ce_subject"
	metaType        = "ce_type"
	metaVersion     = "ce_dataversion"
	metaSource      = "ce_source"
	metaTime        = "ce_time"
	metaCorrelation = "correlation_id"
	metaCausation   = "causation_id"
)

// newMessage is e as a Watermill message of its own: handlers and middleware may change it.
func newMessage(e *journal.Event) *message.Message {
	msg := message.NewMessage(e.ID, bytes.Clone(e.Data))
	for k, v := range e.Metadata {
		msg.Metadata[k] = v
	}
	msg.Metadata[metaType] = e.Type
	msg.Metadata[metaCorrelation] = e.CorrelationID
	if e.Key != "" {
		msg.Metadata[metaKey] = e.Key
	}
	if e.Source != "" {
		msg.Metadata[metaSource] = e.Source
	}
	if e.CausationID != "" {
		msg.Metadata[metaCausation] = e.CausationID
	}
	return msg
}

// eventOf is a plain message as an event.
func eventOf(topic string, m *message.Message) *journal.Event {
	id := m.UUID
	if id == "" {
		id = watermill.NewUUID()
	}
	e := &journal.Event{
		ID: id, Type: topic, Version: 1, Time: time.Now(),
		Key: m.Metadata[metaKey], CausationID: m.Metadata[metaCausation], CorrelationID: m.Metadata[metaCorrelation],
		Metadata: maps.Clone(m.Metadata), Data: bytes.Clone(m.Payload), // the caller may go on with his
	}
	if e.CorrelationID == "" {
		e.CorrelationID = id
	}
	return e
}
