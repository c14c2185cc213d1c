package wire

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

func event() *journal.Event {
	return &journal.Event{
		ID: "0199-1", Type: "order.placed", Version: 2, Source: "order", Key: "order-1", Time: time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC),
		CorrelationID: "flow", CausationID: "0199-0", Subscription: "order/place", Hops: 3, Data: []byte(`{"a":1}`),
	}
}

func TestAnEventComesThroughWhole(t *testing.T) {
	t.Parallel()
	bare := &journal.Event{ID: "1", Type: "t", Version: 1, Source: "m", Time: time.UnixMicro(0).UTC(), CorrelationID: "1"}
	more := event()
	more.Metadata = map[string]string{"tenant": "a b", "empty": "", "content-type": "text/plain", "ce_traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}
	binary := event()
	binary.Data, binary.Metadata = []byte{0, 0xff, '\n'}, map[string]string{"content-type": "application/octet-stream"}
	for name, e := range map[string]*journal.Event{"all fields": event(), "the least": bare, "metadata": more, "binary": binary} {
		msg := Encode(e)
		got, err := Decode(msg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(e.Data) == 0 {
			e.Data, got.Data = nil, nil
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("%s:\n is %+v\nwas %+v", name, got, e)
		}
		if Key(msg) != e.Key || msg.UUID != e.ID {
			t.Errorf("%s: key %q, uuid %q", name, Key(msg), msg.UUID)
		}
	}
}

// What is on the wire is durable: other programs read it.
func TestTheHeadersAreThoseOfCloudEvents(t *testing.T) {
	t.Parallel()
	want := message.Metadata{
		"ce_specversion": "1.0", "ce_id": "0199-1", "ce_type": "order.placed", "ce_source": "order", "ce_subject": "order-1",
		"ce_time": "2026-01-02T03:04:05.000678Z", "ce_dataversion": "2", "ce_correlationid": "flow", "ce_causationid": "0199-0",
		"ce_subscription": "order/place", "ce_hops": "3", "content-type": "application/json",
		"ce_traceparent": "00-695b598c6f782695704f97e89d39ce5a-a44bf9b8a3c1a0a9-01",
	}
	got := Encode(event()).Metadata
	if len(got["ce_traceparent"]) != 55 {
		t.Errorf("traceparent %q is none", got["ce_traceparent"])
	}
	want["ce_traceparent"] = got["ce_traceparent"]
	if !maps.Equal(got, want) {
		t.Errorf("headers\n%v, want\n%v", got, want)
	}
	other := event()
	other.ID = "0199-2"
	if a, b := got["ce_traceparent"], Encode(other).Metadata["ce_traceparent"]; a[:36] != b[:36] || a == b {
		t.Errorf("events of one flow: %s and %s: want one trace, and a span each", a, b)
	}
}

func TestWhatTheTransportAddsIsNotSent(t *testing.T) {
	t.Parallel()
	e := event()
	e.Metadata = map[string]string{MetaPosition: "x", MetaKey: "y"}
	msg := Encode(e)
	if msg.Metadata[MetaPosition] != "" || Key(msg) != "order-1" {
		t.Errorf("sent: %v", msg.Metadata)
	}
}

func foreign(pairs ...string) *message.Message {
	msg := message.NewMessage("uuid", []byte(`{}`))
	for i := 0; i < len(pairs); i += 2 {
		msg.Metadata[pairs[i]] = pairs[i+1]
	}
	return msg
}

var least = []string{"ce_specversion", "1.0", "ce_id", "7", "ce_type", "order.placed", "ce_source", "https://elsewhere.example/web"}

func TestAForeignEventNeedsOnlyWhatTheSpecRequires(t *testing.T) {
	t.Parallel()
	e, err := Decode(foreign(append(least, MetaKey, "k", "ce_subject", "s", "ce_colour", "red")...))
	if err != nil {
		t.Fatal(err)
	}
	if e.ID != "7" || e.Key != "k" || e.CorrelationID != "7" || e.Version != 1 || e.Metadata["ce_colour"] != "red" || e.Time.IsZero() {
		t.Errorf("decoded %+v", e)
	}
	e, err = Decode(foreign(append(least, "ce_partitionkey", "p", "ce_subject", "s")...))
	if err != nil || e.Key != "p" {
		t.Errorf("key %q, want that of the extension: %v", e.Key, err)
	}
}

func TestAStructuredEvent(t *testing.T) {
	t.Parallel()
	msg := message.NewMessage("uuid", []byte(`{"specversion":"1.0","id":"7","type":"order.placed","source":"web","subject":"order-1",
		"dataversion":2,"datacontenttype":"application/json","data":{"a":1}}`))
	msg.Metadata["content-type"] = "application/cloudevents+json; charset=UTF-8"
	e, err := Decode(msg)
	if err != nil || e.ID != "7" || e.Key != "order-1" || e.Version != 2 || string(e.Data) != `{"a":1}` || len(e.Metadata) != 0 {
		t.Errorf("decoded %+v, %v", e, err)
	}
	msg.Payload = []byte(`{"specversion":"1.0","id":"7","type":"t","source":"web","data_base64":"AP8="}`)
	if e, err = Decode(msg); err != nil || string(e.Data) != "\x00\xff" {
		t.Errorf("decoded %+v, %v", e, err)
	}
}

func TestWhatIsNoEventSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		msg  *message.Message
		want string
	}{
		"nothing":        {foreign(), "without ce_specversion, ce_id, ce_type, ce_source"},
		"a later spec":   {foreign("ce_specversion", "2.0", "ce_id", "7", "ce_type", "t", "ce_source", "s"), `version "2.0"`},
		"version":        {foreign(append(least, "ce_dataversion", "two")...), "ce_dataversion"},
		"hops":           {foreign(append(least, "ce_hops", "-1")...), "ce_hops"},
		"many hops":      {foreign(append(least, "ce_hops", "9223372036854775807")...), "ce_hops"},
		"a long flow":    {foreign(append(least, "ce_correlationid", strings.Repeat("c", MaxAttribute+1))...), "ce_correlationid has 1025 bytes"},
		"time":           {foreign(append(least, "ce_time", "yesterday")...), "ce_time"},
		"trouble":        {foreign(append(least, MetaTrouble, "offsets 1 to 3 are gone")...), "offsets 1 to 3 are gone"},
		"a batch":        {foreign("content-type", "application/cloudevents-batch+json"), "batch"},
		"broken JSON":    {foreign("content-type", "application/cloudevents+json"), "without ce_specversion"},
		"nested in JSON": {structured(`{"specversion":"1.0","id":{"a":1}}`), `attribute "id"`},
		"no JSON":        {structured(`<xml/>`), "not a JSON object"},
	} {
		if _, err := Decode(c.msg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %q", name, err, c.want)
		}
	}
}

func structured(body string) *message.Message {
	msg := message.NewMessage("uuid", []byte(body))
	msg.Metadata["content-type"] = "application/cloudevents+json"
	return msg
}

// FuzzDecode: whatever comes, it is an event or an error, and an event can be sent on.
func FuzzDecode(f *testing.F) {
	f.Add("1.0", "application/json", "3", []byte(`{}`))
	f.Add("1.0", "application/cloudevents+json", "3", []byte(`{"specversion":"1.0","id":"7","type":"t","source":"web","data":null}`))
	f.Fuzz(func(t *testing.T, spec, content, hops string, payload []byte) {
		msg := message.NewMessage("uuid", payload)
		msg.Metadata = message.Metadata{"ce_specversion": spec, "ce_id": "7", "ce_type": "t", "ce_source": "s", "content-type": content, "ce_hops": hops}
		e, err := Decode(msg)
		if err != nil {
			return
		}
		again, err := Decode(Encode(e))
		if err != nil || again.ID != e.ID || string(again.Data) != string(e.Data) {
			t.Errorf("%+v became %+v: %v", e, again, err)
		}
	})
}
