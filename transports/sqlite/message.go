package sqlite

import (
	"bytes"
	"maps"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// The attributes of an event as metadata of a Watermill message. The names are the headers of CloudEvents (1.0, Kafka
// protocol binding, binary content mode), as in bus/wire/cloudevents.go, except for Watermill's own names
// correlation_id and causation_id.
const (
	metaKey         = "ce_subject"
	metaType        = "ce_type"
	metaSource      = "ce_source"
	metaCorrelation = "correlation_id"
	metaCausation   = "causation_id"
)

// newMessage returns e as a new Watermill message: handlers and middleware may change the message.
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

// eventOf returns a plain message as an event.
func eventOf(topic string, m *message.Message) *journal.Event {
	id := m.UUID
	if id == "" {
		id = watermill.NewUUID()
	}
	e := &journal.Event{
		ID: id, Type: topic, Version: 1, Time: time.Now(),
		Key: m.Metadata[metaKey], CausationID: m.Metadata[metaCausation], CorrelationID: m.Metadata[metaCorrelation],
		Metadata: maps.Clone(m.Metadata), Data: bytes.Clone(m.Payload), // the caller may reuse the message
	}
	if e.CorrelationID == "" {
		e.CorrelationID = id
	}
	return e
}
