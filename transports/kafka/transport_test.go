package kafka_test

import (
	"bytes"
	"maps"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	tr := MustTransport(t, config(MustCluster(t).ListenAddrs()))
	large := bytes.Repeat([]byte{0, 1, 2, 0xff}, 1<<18)
	for name, msg := range map[string]*message.Message{
		"event":     {UUID: "e-1", Metadata: message.Metadata{"ce_id": "e-1", "ce_subject": "k", "x": "ü\x00\n", "empty": ""}, Payload: []byte("{}")},
		"plain":     {UUID: "plain-1", Metadata: message.Metadata{"a": "b"}, Payload: []byte("x")},
		"bare":      {UUID: "bare-1"},
		"empty":     {UUID: "empty-1", Payload: []byte{}},
		"binary":    {UUID: "binary-1", Payload: []byte{0, 0xff, 0xfe, '\n', 0}},
		"large":     {UUID: "large-1", Payload: large},
		"other key": {UUID: "o-1", Metadata: message.Metadata{"ce_id": "o-1", "ce_subject": "k", wire.MetaKey: "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			MustPublish(t, tr, name[:2], msg)
			in := MustSubscribe(t, tr, name[:2])
			got := Next(t, in)
			position := got.Metadata[wire.MetaPosition]
			delete(got.Metadata, wire.MetaPosition)
			if got.UUID != msg.UUID || !bytes.Equal(got.Payload, msg.Payload) || !maps.Equal(got.Metadata, msg.Metadata) {
				t.Errorf("published %s %v, got %s %v (%d bytes)", msg.UUID, msg.Metadata, got.UUID, got.Metadata, len(got.Payload))
			}
			if position == "" {
				t.Error("without a position")
			}
			got.Ack()
		})
	}
}
