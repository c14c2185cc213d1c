package journal_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// What is not plain JSON is described, and its bytes never reach a terminal.
func TestPayloadForPeople(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{0x1b, 0xff}, 20)
	for _, tt := range []struct {
		data, contentType, key, want string
		json                         bool
	}{
		{`{"n":1}`, "", "", "", true},
		{"", "", "", "", false},
		{`{"n":1}`, "application/vnd.x+json", "", "", true},
		{`{"key":"c-1"}`, "application/vnd.troupe.encrypted+json", "c-1", "encrypted with key c-1, 13 bytes", true},
		{"\xff", "", "", "not JSON, 1 byte: ff", false},
		{"[", "application/json; charset=utf-8", "", "not JSON, 1 byte: 5b", false},
		{"1", "application/protobuf", "", "application/protobuf, 1 byte: 31", false}, // although it is JSON, too
		{"", "application/protobuf", "", "application/protobuf, 0 bytes", false},
		{string(long), "text/\x1b[2J", "", "text/ [2J, 40 bytes: 1bff1bff1bff1bff1bff1bff1bff1bff…", false},
	} {
		e := &journal.Event{Type: "t", ID: "i", Time: time.Unix(0, 0), Data: []byte(tt.data), Metadata: map[string]string{}}
		if tt.contentType != "" {
			e.Metadata["content-type"] = tt.contentType
		}
		if tt.key != "" {
			e.Metadata["ce_encryptionkey"] = tt.key
		}
		r := journal.NewEventRecord(e)
		if got := r.Payload(); got != tt.want || (r.Data != nil) != tt.json {
			t.Errorf("%q as %q: %q, %+v", tt.data, tt.contentType, got, r)
		}
		f := &journal.Flow{ID: "f", Events: []journal.FlowEvent{{EventRecord: r}}}
		var tree strings.Builder
		if err := f.WriteTree(&tree, journal.TreeOptions{}); err != nil {
			t.Fatal(err)
		}
		if shown := strings.Contains(tree.String(), "t  +0s  ("+tt.want+")\n"); shown != (tt.want != "") {
			t.Errorf("the tree is %s", &tree)
		}
	}
}

func TestIsJSON(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{
		"": true, "application/json": true, "Application/JSON; charset=utf-8": true, "text/json": true, "application/x+json": true,
		"application/jsonl": false, "text/plain": false, "json": false, "application/protobuf": false, ";": false,
	} {
		if journal.IsJSON(contentType) != want {
			t.Errorf("%q: %v", contentType, !want)
		}
	}
}
