package wire

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// The metadata of a message that carry the attributes of an event: CloudEvents 1.0, Kafka protocol binding, section 3.2
// (binary content mode). Transports write metadata as headers, unchanged.
const (
	metaSpec         = "ce_specversion"
	metaID           = "ce_id"
	metaType         = "ce_type"
	metaSource       = "ce_source"
	metaSubject      = "ce_subject" // the event's key
	metaTime         = "ce_time"
	metaVersion      = "ce_dataversion"
	metaCorrelation  = "ce_correlationid"
	metaCausation    = "ce_causationid"
	metaSubscription = "ce_subscription"
	metaHops         = "ce_hops"
	metaTrace        = "ce_traceparent"  // CloudEvents extension "Distributed Tracing"
	metaPartitionKey = "ce_partitionkey" // CloudEvents extension "Partitioning"; read, not written
	metaContent      = journal.MetaContentType
)

// specVersion is the version of CloudEvents that Encode writes.
const specVersion = "1.0"

// attributes are the metadata that become fields of a journal.Event. All other metadata become its Metadata.
var attributes = map[string]bool{
	metaSpec: true, metaID: true, metaType: true, metaSource: true, metaSubject: true, metaTime: true, metaVersion: true,
	metaCorrelation: true, metaCausation: true, metaSubscription: true, metaHops: true,
}

// Encode returns e as a message in binary content mode. The message shares the payload of e.
func Encode(e *journal.Event) *message.Message {
	msg := message.NewMessage(e.ID, e.Data)
	m := msg.Metadata
	for name, value := range e.Metadata {
		if Sent(name) {
			m[name] = value
		}
	}
	m[metaSpec], m[metaID], m[metaType], m[metaSource] = specVersion, e.ID, e.Type, e.Source
	m[metaTime] = e.Time.UTC().Format(time.RFC3339Nano)
	m[metaVersion] = strconv.Itoa(e.Version)
	m[metaCorrelation] = e.CorrelationID
	m[metaHops] = strconv.Itoa(e.Hops)
	optional := map[string]string{metaSubject: e.Key, metaCausation: e.CausationID, metaSubscription: e.Subscription}
	for name, value := range optional {
		if value != "" {
			m[name] = value
		}
	}
	if _, ok := m[metaTrace]; !ok {
		m[metaTrace] = traceparent(e)
	}
	if _, ok := m[metaContent]; !ok {
		m[metaContent] = "application/json"
	}
	return msg
}

// traceparent returns the trace context of e (W3C Trace Context, version 00). A flow is a trace, and an event is a
// span, so that a tracing tool that reads the topics shows each flow without further setup.
func traceparent(e *journal.Event) string {
	flow := fnv.New128a()
	_, _ = flow.Write([]byte(e.CorrelationID)) // a hash takes everything
	span := fnv.New64a()
	_, _ = span.Write([]byte(e.ID))
	b := span.Sum(flow.Sum(make([]byte, 0, 24)))
	if binary.BigEndian.Uint64(b[16:]) == 0 {
		b[23] = 1 // the standard forbids an id of zeros
	}
	return "00-" + hex.EncodeToString(b[:16]) + "-" + hex.EncodeToString(b[16:]) + "-01"
}

// MaxAttribute limits the length of an id or name in an attribute, in bytes. Reactions copy some attributes to the
// events that they emit, and a transport limits the size of headers.
const MaxAttribute = 1 << 10

// Decode returns the event of msg, in binary or structured content mode, with Seq 0. An error describes a mistake of
// the sender, and is the same at every call.
func Decode(msg *message.Message) (*journal.Event, error) {
	if trouble := msg.Metadata[MetaTrouble]; trouble != "" {
		return nil, errors.New(trouble)
	}
	meta, data := map[string]string(msg.Metadata), []byte(msg.Payload)
	if kind, _, _ := mime.ParseMediaType(meta[metaContent]); strings.HasPrefix(kind, "application/cloudevents") {
		var err error
		if meta, data, err = unpack(kind, msg); err != nil {
			return nil, err
		}
	}
	if err := required(meta); err != nil {
		return nil, err
	}
	e := &journal.Event{
		ID: meta[metaID], Type: meta[metaType], Source: meta[metaSource], Key: keyOf(meta),
		CorrelationID: meta[metaCorrelation], CausationID: meta[metaCausation], Subscription: meta[metaSubscription],
		Data: data,
	}
	err := checkNames(meta)
	if err != nil {
		return nil, err
	}
	if len(data) > 0 && journal.IsJSON(meta[metaContent]) {
		if err := CheckPayload(data); err != nil {
			return nil, err
		}
	}
	if e.Version, err = number(meta, metaVersion, 1); err == nil {
		e.Hops, err = number(meta, metaHops, 0)
	}
	if err != nil {
		return nil, err
	}
	if e.Time, err = timeOf(meta); err != nil {
		return nil, err
	}
	if e.CorrelationID == "" {
		e.CorrelationID = e.ID
	}
	for name, value := range meta {
		if !attributes[name] && Sent(name) && !added(name, value, e) {
			if e.Metadata == nil {
				e.Metadata = map[string]string{}
			}
			e.Metadata[text(name)] = text(value)
		}
	}
	return e, nil
}

// checkNames checks the attributes that are ids or names.
func checkNames(meta map[string]string) error {
	for _, name := range []string{metaID, metaType, metaSource, metaCorrelation, metaCausation, metaSubscription} {
		if len(meta[name]) > MaxAttribute {
			return fmt.Errorf("%s has %d bytes: want at most %d", name, len(meta[name]), MaxAttribute)
		}
		if err := CheckName(meta[name]); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	return nil
}

// added reports whether Encode adds the metadata by itself, so that Decode need not keep them.
func added(name, value string, e *journal.Event) bool {
	return name == metaContent && value == "application/json" || name == metaTrace && value == traceparent(e)
}

// required checks the attributes that every CloudEvent has (CloudEvents 1.0, section "Required attributes").
func required(meta map[string]string) error {
	var missing []string
	for _, name := range []string{metaSpec, metaID, metaType, metaSource} {
		if meta[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not a CloudEvent: without %s", strings.Join(missing, ", "))
	}
	if v := meta[metaSpec]; v != "1" && !strings.HasPrefix(v, "1.") {
		return fmt.Errorf("a CloudEvent of version %q: this program reads 1.0", v)
	}
	return nil
}

// keyOf returns the key of an event. The key by which the backend kept the message in order comes first.
func keyOf(meta map[string]string) string {
	for _, name := range []string{MetaKey, metaPartitionKey} {
		if key, ok := meta[name]; ok {
			return key
		}
	}
	return meta[metaSubject]
}

func number(meta map[string]string, name string, least int) (int, error) {
	text, ok := meta[name]
	if !ok {
		return least, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || int(n) < least {
		return 0, fmt.Errorf("%s is %.40q: want a number from %d to %d", name, text, least, math.MaxInt32)
	}
	return int(n), nil
}

func timeOf(meta map[string]string) (time.Time, error) {
	text, ok := meta[metaTime]
	if !ok {
		return time.Now().UTC().Truncate(time.Microsecond), nil
	}
	t, err := parseTime(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is %.60q: %w", metaTime, text, err)
	}
	return t.Truncate(time.Microsecond), nil
}

// parseTime parses a time of RFC 3339: t and z may be lower case. A second 60, which is a leap second, becomes the
// first second of the next day, as on most clocks. The year must be from 1 to 9999 in UTC, because RFC 3339 cannot
// write others.
func parseTime(text string) (time.Time, error) {
	text = strings.ToUpper(text)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil && len(text) > 19 && text[16:19] == ":60" {
		t, err = time.Parse(time.RFC3339, text[:16]+":59"+text[19:])
		t = t.UTC().Add(time.Second)
		if t.Hour() != 0 || t.Minute() != 0 {
			return time.Time{}, errors.New("a second 60 is possible only in the last minute of a day in UTC")
		}
	}
	t = t.UTC()
	switch {
	case err != nil:
		return time.Time{}, errors.New("want a time as in RFC 3339, such as 2026-01-31T08:00:00Z")
	case t.Year() < 1 || t.Year() > 9999:
		return time.Time{}, fmt.Errorf("the time is in the year %d in UTC: want a year from 1 to 9999", t.Year())
	}
	return t, nil
}

// unpack returns the attributes and the payload of a CloudEvent in structured content mode (CloudEvents 1.0, JSON
// event format). A null attribute is unset, even when a header of the message sets the attribute.
func unpack(kind string, msg *message.Message) (meta map[string]string, data []byte, err error) {
	if kind != "application/cloudevents+json" {
		return nil, nil, fmt.Errorf("a CloudEvent as %s: this program reads binary mode and application/cloudevents+json", kind)
	}
	if err := CheckJSON(msg.Payload); err != nil {
		return nil, nil, fmt.Errorf("a structured CloudEvent that is not a JSON object: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(msg.Payload, &fields); err != nil || fields == nil {
		return nil, nil, errors.New("a structured CloudEvent that is another JSON value than an object")
	}
	meta = maps.Clone(map[string]string(msg.Metadata))
	delete(meta, metaContent)
	for name, raw := range fields {
		at := "ce_" + name
		switch {
		case name == "data" || name == "data_base64":
			continue
		case name == "datacontenttype":
			at = metaContent
		}
		delete(meta, at)
		if IsNull(raw) {
			continue
		}
		if meta[at], err = scalar(raw); err != nil {
			return nil, nil, fmt.Errorf("attribute %.60q of a structured CloudEvent: %w", name, err)
		}
	}
	if _, ok := meta[metaContent]; !ok && fields["data_base64"] != nil && !IsNull(fields["data_base64"]) {
		meta[metaContent] = "application/octet-stream" // a sender of JSON has no reason to use data_base64
	}
	data, err = payloadOf(fields, journal.IsJSON(meta[metaContent]))
	return meta, data, err
}

// payloadOf returns the payload of a structured CloudEvent: the value of data, the text in data when the payload is
// not JSON, or the bytes in data_base64.
func payloadOf(fields map[string]json.RawMessage, isJSON bool) (data []byte, err error) {
	plain, encoded := fields["data"], fields["data_base64"]
	if IsNull(encoded) {
		encoded = nil
	}
	switch {
	case plain != nil && encoded != nil:
		return nil, errors.New("a structured CloudEvent with both data and data_base64: send either")
	case encoded != nil:
		if err := json.Unmarshal(encoded, &data); err != nil || encoded[0] != '"' {
			return nil, errors.New("data_base64 of a structured CloudEvent is not text in base64")
		}
		return data, nil
	case !isJSON && len(plain) > 0 && plain[0] == '"':
		var text string
		err := json.Unmarshal(plain, &text)
		return []byte(text), err
	}
	return plain, nil
}

// scalar returns the value of an attribute as text.
func scalar(raw json.RawMessage) (string, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, float64:
		return string(raw), nil
	default:
		return "", errors.New("want a string, a number or a boolean")
	}
}
