package httpapi

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/front"
)

// MustRead reads what is left of an answer.
func MustRead(tb testing.TB, answer *http.Response) string {
	tb.Helper()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// reader reads Server-Sent Events.
type reader struct {
	lines *bufio.Reader
	head  http.Header
}

// MustStream opens the stream of an order.
func (s *shop) MustStream(tb testing.TB, path, lastEventID string) *reader {
	tb.Helper()
	r := s.MustRequest(tb, "GET", path+"/events", "")
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	answer := s.do(tb, r)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		tb.Fatalf("stream: %s %v", answer.Status, answer.Header)
	}
	return &reader{bufio.NewReader(answer.Body), answer.Header}
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

// MustEvents reads the next n events, past everything else.
func (r *reader) MustEvents(tb testing.TB, n int) (events []journal.EventRecord, ids []string) {
	tb.Helper()
	for len(events) < n {
		f := r.MustNext(tb)
		if f["data"] == "" {
			continue
		}
		e := MustDecode[journal.EventRecord](tb, f["data"])
		if f["event"] != e.Type {
			tb.Errorf("event is %q, its data of type %q", f["event"], e.Type)
		}
		events, ids = append(events, e), append(ids, f["id"])
	}
	return events, ids
}

func typesOf(events []journal.EventRecord) (types []string) {
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

var happy = []string{"order.placed", "inventory.reserved", "payment.charged", "shipping.dispatched", "order.completed"}

func TestStreamOfWhatWasAndWhatComes(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	s.outside.hold()
	path := s.MustPlace(t, oneTea)
	s.MustPlace(t, oneTea) // another flow, to be kept out
	stream := s.MustStream(t, path, "")
	events, _ := stream.MustEvents(t, 2) // the gateway is waiting: there are no more
	close(s.outside.open)
	more, _ := stream.MustEvents(t, 3)
	if got := typesOf(append(events, more...)); !slices.Equal(got, happy) {
		t.Errorf("events %q, want %q", got, happy)
	}
	for _, e := range append(events, more...) {
		if "/api/orders/"+e.CorrelationID != path || e.Key != e.CorrelationID || e.Seq == 0 || e.Time.IsZero() || !strings.Contains(string(e.Data), e.Key) {
			t.Errorf("event %+v", e)
		}
	}
	if more[0].CausationID != events[1].ID || more[0].Subscription != "payment/charge" || more[0].Hops != 2 {
		t.Errorf("the charge %+v does not follow from %+v", more[0], events[1])
	}
	if code, _, body := s.call(t, "POST", path+"/return", `{"reason": "too small"}`); code != http.StatusAccepted {
		t.Fatalf("return: %d %s", code, body)
	}
	if last, _ := stream.MustEvents(t, 2); !slices.Equal(typesOf(last), []string{"order.returned", "payment.refunded"}) {
		t.Errorf("after the end: %q", typesOf(last))
	}
}

func TestStreamIsResumed(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	path := s.MustPlace(t, oneTea)
	s.MustEnd(t, path)
	_, ids := s.MustStream(t, path, "").MustEvents(t, len(happy))
	for i := range happy[:len(happy)-1] {
		if got, _ := s.MustStream(t, path, ids[i]).MustEvents(t, len(happy)-i-1); !slices.Equal(typesOf(got), happy[i+1:]) {
			t.Errorf("behind %s: %q, want %q", happy[i], typesOf(got), happy[i+1:])
		}
	}
}

// A place of another journal, or of another order's stream, is not taken for one behind which nothing has happened.
func TestStreamBeginsAgainBehindAnUnknownPlace(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	other := s.MustPlace(t, oneTea)
	s.MustEnd(t, other)
	_, ids := s.MustStream(t, other, "").MustEvents(t, len(happy))
	path := s.MustPlace(t, oneTea)
	s.MustEnd(t, path)
	for _, place := range []string{"999999", "9223372036854775807", ids[0], ids[len(ids)-1]} {
		stream := s.MustStream(t, path, place)
		if first := stream.MustNext(t); !strings.Contains(first[""], "of no event of this stream") || first["retry"] == "" {
			t.Errorf("behind %s the stream begins with %v", place, first)
		}
		if got, _ := stream.MustEvents(t, len(happy)); !slices.Equal(typesOf(got), happy) {
			t.Errorf("behind %s: %q, want all of it", place, typesOf(got))
		}
	}
}

func TestStreamBeats(t *testing.T) {
	t.Parallel()
	s := MustShop(t, func(c *front.Config) { c.Heartbeat = time.Millisecond })
	path := s.MustPlace(t, oneTea)
	s.MustEnd(t, path)
	_, ids := s.MustStream(t, path, "").MustEvents(t, len(happy))
	stream := s.MustStream(t, path, ids[len(ids)-1])
	if first := stream.MustNext(t); first["retry"] == "" {
		t.Errorf("the stream begins with %v", first)
	}
	for range 3 {
		if got := stream.MustNext(t); len(got) != 1 || got[""] != "" {
			t.Errorf("heartbeat %v", got)
		}
	}
}

func TestStreamEndsWithTheClient(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	path := s.MustPlace(t, oneTea)
	s.MustEnd(t, path)
	answer := s.do(t, s.MustRequest(t, "GET", path+"/events", ""))
	s.awaitWatchers(t, strings.TrimPrefix(path, "/api/orders/"), 1)
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	s.awaitWatchers(t, strings.TrimPrefix(path, "/api/orders/"), 0)
	if text := s.log.String(); strings.Contains(text, "request") {
		t.Errorf("a client that leaves is logged: %s", text)
	}
}

func TestHeadOfAStream(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	answer := s.do(t, s.MustRequest(t, "HEAD", s.MustPlace(t, oneTea)+"/events", ""))
	if answer.StatusCode != http.StatusOK || MustRead(t, answer) != "" {
		t.Errorf("answer %s", answer.Status)
	}
}
