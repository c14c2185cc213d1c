package front

import (
	"bufio"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// reader reads Server-Sent Events.
type reader struct{ lines *bufio.Reader }

// MustStream opens the stream of a flow.
func (c *clinic) MustStream(tb testing.TB, flow, lastEventID string) *reader {
	tb.Helper()
	answer := c.do(tb, "GET", "/-/flows/"+flow+"/events", LastEventID, lastEventID)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("X-Accel-Buffering") != "no" {
		tb.Fatalf("stream: %s %v", answer.Status, answer.Header)
	}
	return &reader{bufio.NewReader(answer.Body)}
}

// MustNext reads up to the next empty line and returns the fields, comments under "".
func (r *reader) MustNext(tb testing.TB) map[string]string {
	tb.Helper()
	fields := map[string]string{}
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			tb.Fatalf("stream ended: %v after %v", err, fields)
		}
		if line == "\n" {
			return fields
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		fields[name] = strings.TrimPrefix(value, " ")
	}
}

// MustEvents reads the types and ids of the next n events, past everything else.
func (r *reader) MustEvents(tb testing.TB, n int) (types, ids []string) {
	tb.Helper()
	for len(types) < n {
		f := r.MustNext(tb)
		if f["data"] == "" {
			continue
		}
		var e journal.EventRecord
		if err := json.Unmarshal([]byte(f["data"]), &e); err != nil || e.Type != f["event"] || e.Seq == 0 {
			tb.Errorf("event %v: %v", f, err)
		}
		types, ids = append(types, e.Type), append(ids, f["id"])
	}
	return types, ids
}

var both = []string{"visits.visited", "bills.billed"}

func TestStream(t *testing.T) {
	t.Parallel()
	c := MustClinic(t, true, nil, nil)
	c.visit(t, "monday", "ada")
	c.visit(t, "tuesday", "bob") // to be kept out
	stream := c.MustStream(t, "monday", "")
	if first := stream.MustNext(t); first["retry"] != "2000" {
		t.Errorf("the stream begins with %v", first)
	}
	was, ids := stream.MustEvents(t, 1)
	close(c.open)
	close(c.noted)
	comes, _ := stream.MustEvents(t, 1)
	if got := slices.Concat(was, comes); !slices.Equal(got, both) {
		t.Errorf("events %q, want %q", got, both)
	}
	if got, _ := c.MustStream(t, "monday", ids[0]).MustEvents(t, 1); !slices.Equal(got, both[1:]) {
		t.Errorf("resumed behind the first: %q", got)
	}
	// Of an event that is not of the stream nothing can be said but all.
	_, others := c.MustStream(t, "tuesday", "").MustEvents(t, 2)
	for _, place := range []string{"999999", "9223372036854775807", others[0], others[1]} {
		again := c.MustStream(t, "monday", place)
		if first := again.MustNext(t); !strings.Contains(first[""], "of no event of this stream") || first["retry"] == "" {
			t.Errorf("behind %s the stream begins with %v", place, first)
		}
		if got, _ := again.MustEvents(t, 2); !slices.Equal(got, both) {
			t.Errorf("behind %s: %q, want all of it", place, got)
		}
	}
	for _, bad := range []string{"x", "-1"} {
		if answer := c.do(t, "GET", "/-/flows/monday/events", LastEventID, bad); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s %q: %s", LastEventID, bad, answer.Status)
		}
	}
	if answer := c.do(t, "HEAD", "/-/flows/monday/events"); answer.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %s", answer.Status)
	}
}

// The id of an event, or a key, stands for its flow here as well.
func TestStreamOfAKey(t *testing.T) {
	t.Parallel()
	c := MustClinic(t, false, nil, nil)
	c.visit(t, "monday", "ada")
	if got, _ := c.MustStream(t, "ada", "").MustEvents(t, 2); !slices.Equal(got, both) {
		t.Errorf("events %q, want %q", got, both)
	}
	c.visit(t, "tuesday", "ada")
	p, _ := MustGet[problem](t, c, "/-/flows/ada/events", http.StatusUnprocessableEntity)
	if !strings.Contains(p.Detail, "2 flows") || !strings.Contains(p.Detail, "/-/flows/") {
		t.Errorf("of two flows: %+v", p)
	}
}

func TestStreamBeats(t *testing.T) {
	t.Parallel()
	c := MustClinic(t, false, nil, func(cfg *Config) { cfg.Heartbeat = time.Millisecond })
	c.visit(t, "monday", "ada")
	stream := c.MustStream(t, "monday", "")
	stream.MustEvents(t, 2)
	for range 3 {
		if got := stream.MustNext(t); len(got) != 1 || got[""] != "" {
			t.Errorf("heartbeat %v", got)
		}
	}
}
