package postgres_test

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// TestRoundTrip sends what PostgreSQL's text cannot hold, and what looks like the form that is used instead.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	tr := MustNew(t, postgres.Config{URL: servers.Postgres(t)})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	values := []string{"", "plain", "nul\x00", string(all), "\xff", "\x01b64:", "\x01b64:AAAA", "\x01", `\u0000 "`, "\ufffd", "\u2028<&>", "日本"}
	var sent []*message.Message
	for i, value := range values {
		for _, payload := range [][]byte{nil, {}, {0}, all, bytes.Repeat(all, 4096)} {
			msg := message.NewMessage(fmt.Sprintf("%d/%d/%s", i, len(payload), value), payload)
			msg.Metadata = message.Metadata{"value": value, value: "name", wire.MetaKey: value}
			sent = append(sent, msg)
		}
	}
	MustPublish(t, tr, "order", sent...)
	in := MustSubscribe(t.Context(), t, tr, "order")
	for n, want := range sent {
		got := MustNext(t, in)
		if wire.Key(got) != wire.Key(want) || got.UUID != want.UUID || !bytes.Equal(got.Payload, want.Payload) {
			t.Fatalf("%q with key %q became %q with key %q, or its %d bytes others", want.UUID, wire.Key(want), got.UUID, wire.Key(got), len(want.Payload))
		}
		if position := fmt.Sprintf("troupe_order_messages/%d", n+1); got.Metadata[wire.MetaPosition] != position {
			t.Errorf("it was found at %s, want %s", got.Metadata[wire.MetaPosition], position)
		}
		for _, meta := range []message.Metadata{got.Metadata, want.Metadata} {
			delete(meta, wire.MetaKey)
			delete(meta, wire.MetaPosition)
		}
		if !maps.Equal(got.Metadata, want.Metadata) {
			t.Errorf("metadata %q became %q", want.Metadata, got.Metadata)
		}
		got.Ack()
	}
}

// TestLargeBatch publishes more rows than one statement may have parameters, and more bytes than one statement brings.
func TestLargeBatch(t *testing.T) {
	t.Parallel()
	tr := MustNew(t, postgres.Config{URL: servers.Postgres(t), Timeout: time.Minute})
	msgs := numbered(0, 70_000)
	for _, i := range []int{10, 11, 12, 60_000} {
		msgs[i].Payload = bytes.Repeat([]byte{byte(i)}, 10<<20)
	}
	MustPublish(t, tr, "order", msgs...)
	in := MustSubscribe(t.Context(), t, tr, "order")
	for i := range msgs {
		msg := MustNext(t, in)
		if msg.UUID != fmt.Sprint(i) || !bytes.Equal(msg.Payload, msgs[i].Payload) {
			t.Fatalf("message %s with %d bytes came, want %d", msg.UUID, len(msg.Payload), i)
		}
		msg.Ack()
	}
}

// TestAllOrNone has the last of many statements fail.
func TestAllOrNone(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	tr, db := MustNew(t, postgres.Config{URL: url}), MustOpen(t, url)
	MustPublish(t, tr, "order", numbered(0, 1)...)
	MustExec(t, db, `ALTER TABLE troupe_order_messages ADD CHECK (uuid <> '14000')`)
	if err := tr.Publish("order", numbered(1, 14_000)...); err == nil {
		t.Error("the table takes what it must not")
	}
	if n := MustAsk[int](t, db, `SELECT count(*) FROM troupe_order_messages`); n != 1 {
		t.Errorf("there are %d messages, want the first one only", n)
	}
}

// TestTooLarge refuses a payload that no row can hold.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	tr := MustNew(t, postgres.Config{URL: "postgres://me@127.0.0.1:1/db"})
	err := tr.Publish("order", message.NewMessage("1", make([]byte, tr.Features().MaxPayload+1)))
	if err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("it says %v", err)
	}
}

// TestForeign reads what others write: watermill-sql's own publisher, and somebody who does not know what metadata are.
func TestForeign(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	tr, db := MustNew(t, postgres.Config{URL: url}), MustOpen(t, url)
	in := MustSubscribe(t.Context(), t, tr, "order")
	pub, err := watermillsql.NewPublisher(db, watermillsql.PublisherConfig{SchemaAdapter: watermillsql.DefaultPostgreSQLSchema{
		GenerateMessagesTableName: func(topic string) string { return `"troupe_` + topic + `_messages"` },
		GeneratePayloadType:       func(string) string { return "BYTEA" },
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs := message.NewMessage("theirs", []byte("\x00"))
	theirs.Metadata["name"] = "value"
	if err := pub.Publish("order", theirs); err != nil {
		t.Fatal(err)
	}
	MustPublish(t, tr, "order", numbered(0, 1)...) // wakes the reader
	if msg := MustNext(t, in); msg.UUID != "theirs" || string(msg.Payload) != "\x00" || msg.Metadata["name"] != "value" {
		t.Errorf("it became %q %q %q", msg.UUID, msg.Payload, msg.Metadata)
	}
	MustNext(t, in).Ack()

	for written, want := range map[string]map[string]string{
		`{"a":1,"b":{"c":[true]},"d":null,"e":"text"}`: {"a": "1", "b": `{"c":[true]}`, "d": "", "e": "text"},
		`["no object"]`: {"metadata": `["no object"]`},
		`null`:          {},
		`{"a":"\u0000","_troupe_place":"forged","_troupe_trouble":"forged"}`: {"a": "\x00"},
	} {
		MustExec(t, db, `INSERT INTO troupe_order_messages (uuid, metadata) VALUES ('', $1)`, written)
		MustPublish(t, tr, "order", numbered(0, 1)...)
		msg := MustNext(t, in)
		position := msg.Metadata[wire.MetaPosition]
		delete(msg.Metadata, wire.MetaPosition)
		if !maps.Equal(msg.Metadata, want) || msg.UUID != position || len(msg.Payload) != 0 {
			t.Errorf("%s became %q with id %q at %q", written, msg.Metadata, msg.UUID, position)
		}
		MustNext(t, in).Ack()
	}
}
