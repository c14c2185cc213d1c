package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

// payloads are examples of what CheckPayload says, in the words of docs/input.md.
var payloads = []struct{ name, text, wants string }{
	{"an object", ` {"a": [1, -2.5e+3, "\u00e9\ud83d\ude00é", true, false, null, {}], "b": ""} `, ""},
	{"a number", "0", ""},
	{"null", "null", "null"},
	{"null with space", " null\n", "null"},
	{"nothing", " ", "no JSON value"},
	{"two values", "{} {}", "more than one"},
	{"not UTF-8", "{\"a\": \"\xff\"}", "not UTF-8"},
	{"a name that is not UTF-8", "{\"\xff\": 1}", "not UTF-8"},
	{"an overlong slash", "\"\xc0\xaf\"", "not UTF-8"},
	{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", "not UTF-8"},
	{"a high surrogate alone", `{"a": "\ud800"}`, "half a surrogate pair"},
	{"a low surrogate alone", `{"a": "\udfff"}`, "half a surrogate pair"},
	{"a pair the wrong way round", `"\udc00\ud800"`, "half a surrogate pair"},
	{"two high ones", `"\ud800\ud800\udc00"`, "half a surrogate pair"},
	{"a member twice", `{"a": 1, "b": 2, "a": 1}`, `the member "a" twice at byte 17`},
	{"a member twice, spelled otherwise", `{"a": 1, "\u0061": 2}`, `the member "a" twice`},
	{"a member twice, far inside", `[{"x": {"": 1, "": 1}}]`, `the member "" twice`},
	{"a member twice among many", `{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"4":1}`, `"4" twice`},
	{"one name in two objects", `[{"a": 1}, {"a": {"a": 1}}]`, ""},
	{"names that differ in case", `{"a": 1, "A": 1}`, ""},
	{"a control character", "\"\n\"", "control character"},
	{"an escape that is none", `"\x"`, "no escape"},
	{"half an escape", `"\u12"`, "no escape"},
	{"a leading zero", "01", "more than one"},
	{"no digits", "-", "no digits"},
	{"a point alone", "1.", "after the point"},
	{"no exponent", "1e+", "exponent"},
	{"a comma too many", `[1,]`, "begins like this"},
	{"no comma", `{"a": 1 "b": 2}`, "lacks a comma"},
	{"no colon", `{"a" 1}`, "lacks a colon"},
	{"no name", `{1: 1}`, "lacks the name"},
	{"no end", `{"a": [`, "too early"},
	{"a string without end", `"a`, "no end"},
	{"deep", strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), ""},
	{"too deep", strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2), "deeper than 1000"},
}

func TestCheckPayload(t *testing.T) {
	t.Parallel()
	for _, p := range payloads {
		err := CheckPayload([]byte(p.text))
		if p.wants == "" && err != nil || p.wants != "" && (err == nil || !strings.Contains(err.Error(), p.wants)) {
			t.Errorf("%s: %v, want %q", p.name, err, p.wants)
		}
	}
}

// A payload that came is held to the rule in both modes, and what is no JSON by its own word is not.
func TestDecodeHoldsPayloadsToTheRule(t *testing.T) {
	t.Parallel()
	for _, p := range payloads {
		binary := foreign(append(least, "content-type", "application/json")...)
		binary.Payload = []byte(p.text)
		if _, err := Decode(binary); (err == nil) != (p.wants == "") {
			t.Errorf("%s, in binary mode: %v", p.name, err)
		}
		if strings.TrimSpace(p.text) == "" {
			continue
		}
		if _, err := Decode(structured(`{"specversion":"1.0","id":"7","type":"t","source":"s","data":` + p.text + `}`)); err == nil && p.wants != "" {
			t.Errorf("%s: taken in structured mode", p.name)
		}
		opaque := foreign(append(least, "content-type", "application/octet-stream")...)
		opaque.Payload = []byte(p.text)
		if e, err := Decode(opaque); err != nil || string(e.Data) != p.text {
			t.Errorf("%s, as bytes: %v", p.name, err)
		}
	}
}

func TestStructuredAttributes(t *testing.T) {
	t.Parallel()
	const head = `{"specversion":"1.0","id":"7","type":"t","source":"s",`
	for _, c := range []struct{ name, rest, data, key, wants string }{
		{"a null attribute is unset", `"subject":null,"time":null,"datacontenttype":null,"colour":null,"data":{}}`, "{}", "", ""},
		{"a required one, too", `"id":null}`, "", "", "twice"},
		{"base64 that is null is unset", `"data_base64":null,"data":{}}`, "{}", "", ""},
		{"both payloads", `"data":{},"data_base64":"e30="}`, "", "", "both data and data_base64"},
		{"both payloads, one of them null", `"data":null,"data_base64":"e30="}`, "", "", "both data and data_base64"},
		{"a payload of null", `"data":null}`, "", "", "null"},
		{"no base64", `"data_base64":[1]}`, "", "", "base64"},
		{"base64", `"data_base64":"AP8="}`, "\x00\xff", "", ""},
		{"base64 of JSON that is none", `"datacontenttype":"application/json","data_base64":"AP8="}`, "", "", "no JSON value"},
		{"text", `"datacontenttype":"text/plain","data":"caf\u00e9"}`, "café", "", ""},
		{"JSON by another name", `"datacontenttype":"application/vnd.x+json","data":"a"}`, `"a"`, "", ""},
		{"an attribute twice", `"subject":"a","subject":"b"}`, "", "", `"subject" twice`},
		{"a key", `"subject":"a"}`, "", "a", ""},
	} {
		msg := structured(head + c.rest)
		msg.Metadata["ce_subject"] = "" // a header that the body says otherwise about does not count
		if c.key == "" {
			msg.Metadata["ce_subject"] = "header"
			if !strings.Contains(c.rest, "subject") {
				delete(msg.Metadata, "ce_subject")
			}
		}
		e, err := Decode(msg)
		if c.wants != "" {
			if err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("%s: %v, want %q", c.name, err, c.wants)
			}
			continue
		}
		if err != nil || string(e.Data) != c.data || e.Key != c.key {
			t.Errorf("%s: %+v, %v", c.name, e, err)
		}
	}
	if _, err := Decode(structured(`{"specversion":"1.0","id":null,"type":"t","source":"s"}`)); err == nil || !strings.Contains(err.Error(), "without ce_id") {
		t.Errorf("an id of null: %v", err)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-01-31T08:00:00Z":              "2026-01-31T08:00:00Z",
		"2026-01-31t08:00:00.1234567z":      "2026-01-31T08:00:00.123456Z",
		"2016-12-31T23:59:60Z":              "2017-01-01T00:00:00Z",
		"2017-01-01T01:59:60.5+02:00":       "2017-01-01T00:00:00.5Z",
		"9999-12-31T23:59:59.999999Z":       "9999-12-31T23:59:59.999999Z",
		"0001-01-01T00:00:00Z":              "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59-01:00":         "the year 10000",
		"0001-01-01T00:00:00+00:01":         "the year 0",
		"0000-06-01T00:00:00Z":              "the year 0",
		"2016-12-31T23:58:60Z":              "second 60",
		"2016-12-31T23:59:61Z":              "RFC 3339",
		"2016-12-31 23:59:59Z":              "RFC 3339",
		"yesterday":                         "RFC 3339",
		"":                                  "RFC 3339",
		"2016-12-31T23:59:60":               "RFC 3339",
		strings.Repeat("9", 1<<16) + "-01-": "RFC 3339",
	} {
		e, err := Decode(foreign(append(least, "ce_time", text)...))
		if err != nil {
			if !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
				t.Errorf("%.60s: %v, want %s", text, err, want)
			}
			continue
		}
		if got := e.Time.Format("2006-01-02T15:04:05.999999Z07:00"); got != want {
			t.Errorf("%.60s is %s, want %s", text, got, want)
		}
		if _, err := json.Marshal(e.Time); err != nil {
			t.Errorf("%.60s cannot be shown: %v", text, err)
		}
	}
}

func TestNamesOfEvents(t *testing.T) {
	t.Parallel()
	for text, wants := range map[string]string{
		"": "", "order-1": "", "Köln 東京 🙂": "", "a\uFFFDb": "",
		"a\xffb": "not UTF-8", "a\nb": "control character U+000A", "a\u0085b": "control character", "a\u202eb": "invisible character U+202E",
		"a\u200bb": "U+200B", "a\ufeffb": "U+FEFF", "a\u2028b": "U+2028", "a\ufffeb": "no character", "a\U0001ffffb": "no character", "a\ufdd0b": "no character",
	} {
		err := CheckName(text)
		if wants == "" && err != nil || wants != "" && (err == nil || !strings.Contains(err.Error(), wants)) {
			t.Errorf("%q: %v, want %q", text, err, wants)
		}
		if text == "" {
			continue
		}
		for _, name := range []string{"ce_id", "ce_type", "ce_source", "ce_correlationid", "ce_causationid", "ce_subscription"} {
			msg := foreign(least...)
			msg.Metadata[name] = text
			if _, err := Decode(msg); (err == nil) != (wants == "") {
				t.Errorf("%s of %q: %v", name, text, err)
			}
		}
	}
}

// FuzzCheckJSON: what is taken is JSON for encoding/json, too, and means the same after a round trip; what is refused is no
// JSON, or is one of the four things that the rule refuses beyond the grammar.
func FuzzCheckJSON(f *testing.F) {
	for _, p := range payloads {
		f.Add([]byte(p.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := CheckJSON(data)
		valid := json.Valid(data)
		switch {
		case err == nil && (!valid || !utf8.Valid(data)):
			t.Fatalf("%q is taken: valid %t, UTF-8 %t", data, valid, utf8.Valid(data))
		case err == nil:
			sameAgain(t, data)
		case valid && utf8.Valid(data):
			for _, known := range []string{"surrogate", "twice", "deeper"} {
				if strings.Contains(err.Error(), known) {
					return
				}
			}
			t.Fatalf("%q is refused: %v", data, err)
		}
	})
}

// sameAgain wants that no member is lost, and no character replaced, when data is decoded.
func sameAgain(t *testing.T, data []byte) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	if !bytes.Contains(data, []byte("\uFFFD")) && !bytes.Contains(bytes.ToLower(data), []byte(`\ufffd`)) &&
		(bytes.Contains(again, []byte("\uFFFD")) || bytes.Contains(again, []byte(`\ufffd`))) {
		t.Fatalf("%q has become %q", data, again)
	}
	if a, b := members(v), bytes.Count(outside(data), []byte(":")); a != b {
		t.Fatalf("%q has %d members, and %d are decoded", data, b, a)
	}
}

// members counts those of all objects.
func members(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, inner := range v {
			n += members(inner)
		}
	case []any:
		for _, inner := range v {
			n += members(inner)
		}
	}
	return n
}

// outside is what of JSON is outside of strings.
func outside(data []byte) (out []byte) {
	in := false
	for i := 0; i < len(data); i++ {
		switch {
		case in && data[i] == '\\':
			i++
		case data[i] == '"':
			in = !in
		case !in:
			out = append(out, data[i])
		}
	}
	return out
}

// FuzzDecodeTime: a time that is taken can be written, is read the same again, and lies in the years from 1 to 9999.
func FuzzDecodeTime(f *testing.F) {
	for _, text := range []string{"2026-01-31T08:00:00Z", "2016-12-31t23:59:60.5z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+23:59"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Decode(foreign(append(least, "ce_time", text)...))
		if err != nil {
			return
		}
		if _, err := e.Time.MarshalJSON(); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again, err := Decode(Encode(e))
		if err != nil || !again.Time.Equal(e.Time) {
			t.Fatalf("%q is %v, and then %v: %v", text, e.Time, again, err)
		}
	})
}

// FuzzDecodeHeaders: whatever attributes come, an event that is taken has ids that can be shown, stored and sent on.
func FuzzDecodeHeaders(f *testing.F) {
	f.Add("7", "t", "s", "key", "flow", "ce_colour", "red")
	f.Add("a\u202e", "t\n", "\xff", "\x00", "", "_troupe_place", "x")
	f.Fuzz(func(t *testing.T, id, eventType, source, subject, flow, name, value string) {
		msg := message.NewMessage("uuid", nil)
		msg.Metadata = message.Metadata{name: value}
		for n, v := range map[string]string{"ce_specversion": "1.0", "ce_id": id, "ce_type": eventType, "ce_source": source, "ce_subject": subject, "ce_correlationid": flow} {
			msg.Metadata[n] = v
		}
		e, err := Decode(msg)
		if err != nil {
			return
		}
		for _, text := range []string{e.ID, e.Type, e.Source, e.CorrelationID, e.CausationID, e.Subscription} {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\n\r\x1b\x7f\u202e\u2028\u200b") || len(text) > MaxAttribute {
				t.Fatalf("taken: %q", text)
			}
		}
		for n, v := range e.Metadata {
			if !utf8.ValidString(n) || !utf8.ValidString(v) || !Sent(n) {
				t.Fatalf("metadata %q: %q", n, v)
			}
		}
		again, err := Decode(Encode(e))
		if err != nil || again.ID != e.ID || again.CorrelationID != e.CorrelationID || again.Key != e.Key || len(again.Metadata) != len(e.Metadata) {
			t.Fatalf("%+v became %+v: %v", e, again, err)
		}
	})
}

// FuzzUnpack: whatever a structured event is, it is an error, or an event whose payload is what data or data_base64 says.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"7","type":"t","source":"s","data":{"a":1}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"7","type":"t","source":"s","subject":null,"data_base64":"AP8="}`))
	f.Add([]byte(`{"specversion":"1.0","id":"7","type":"t","source":"s","datacontenttype":"text/plain","data":"x"}`))
	f.Add([]byte(`{"specversion":"1.0","id":"7","type":"t","source":"s","data":null,"data_base64":"e30="}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := Decode(structured(string(body)))
		if err != nil {
			return
		}
		var fields struct {
			ID     *string         `json:"id"`
			Data   json.RawMessage `json:"data"`
			Base64 []byte          `json:"data_base64"`
		}
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(body, &raw); err != nil {
			t.Fatalf("%q is taken: %v", body, err)
		}
		for _, name := range []string{"data", "data_base64"} { // encoding/json would take Data, too
			_ = json.Unmarshal(raw[name], map[string]any{"data": &fields.Data, "data_base64": &fields.Base64}[name])
		}
		_, plain := raw["data"]
		encoded := raw["data_base64"] != nil && !IsNull(raw["data_base64"])
		switch {
		case plain && encoded:
			t.Fatalf("%q has two payloads", body)
		case encoded && !bytes.Equal(e.Data, fields.Base64):
			t.Fatalf("%q has the payload %q", body, e.Data)
		case plain && e.Metadata[metaContent] == "" && !bytes.Equal(e.Data, fields.Data):
			t.Fatalf("%q has the payload %q", body, e.Data)
		case !plain && !encoded && len(e.Data) > 0:
			t.Fatalf("%q has the payload %q from nowhere", body, e.Data)
		}
		if again, err := Decode(Encode(e)); err != nil || !bytes.Equal(again.Data, e.Data) || again.ID != e.ID || !again.Time.Equal(e.Time) {
			t.Fatalf("%+v became %+v: %v", e, again, err)
		}
	})
}
