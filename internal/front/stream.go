package front

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// flowPage is how many events are read at once.
const flowPage = 100

var (
	// ErrBadRequest is the error for a malformed request.
	ErrBadRequest = errors.New("bad request")
	// ErrLeft is the error of Stream when the client has left or does not read.
	ErrLeft = errors.New("front: the client has left")
)

// events streams the flow with an id, the flow of the event with an id, or the only flow with events of a key.
func (f *Front) events(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	flows, err := f.flows(r.Context(), id)
	if err != nil {
		return err
	}
	if len(flows) > 1 {
		return &problem{Type: typed("too-many"), Title: "Too many flows", Status: http.StatusUnprocessableEntity,
			Detail: fmt.Sprintf("%.200q is the key of %d flows: GET /-/flows/ID shows them; ask for the events of one", id, len(flows))}
	}
	return f.Stream(w, r, flows[0].ID)
}

// Stream answers r with the events of a flow as Server-Sent Events, until the client leaves or the server stops. Each
// event is a journal.EventRecord in JSON. The stream begins after Last-Event-ID. Stream returns ErrBadRequest or
// ErrBusy before the answer begins.
func (f *Front) Stream(w http.ResponseWriter, r *http.Request, flow string) error {
	after, err := LastEvent(r.Header)
	if err != nil {
		return err
	}
	ctx, from := r.Context(), ""
	if after > 0 {
		known, err := f.sent(ctx, flow, after)
		if err != nil {
			return err
		}
		if !known { // an id of another journal or stream
			after, from = 0, ": the Last-Event-ID is of no event of this stream: it begins at its beginning\n"
		}
	}
	release, err := f.Hold()
	if err != nil {
		return err
	}
	defer release()
	woken, stop := f.Watch(flow) // before the first look, so that no event falls between
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy is not to hold events back
	s := stream{w: w}
	if err := s.send(from + "retry: 2000\n\n"); err != nil || r.Method == http.MethodHead {
		return err
	}
	beat := time.NewTicker(f.cfg.Heartbeat)
	defer beat.Stop()
	for {
		if after, err = f.sendNew(ctx, &s, flow, after); err != nil {
			return err
		}
		select {
		case <-woken:
		case <-beat.C:
			if err := s.send(":\n\n"); err != nil {
				return err
			}
		case <-f.stopping:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// sendNew sends the events of flow after seq after, and returns the new after.
func (f *Front) sendNew(ctx context.Context, s *stream, flow string, after int64) (int64, error) {
	for {
		page := sqlite.EventFilter{Flow: flow, AfterSeq: after, Limit: flowPage}
		n := 0
		err := f.cfg.Journal.Reader().Events(ctx, page, func(e *journal.Event) error {
			s.event(journal.NewEventRecord(e))
			after = e.Seq
			n++
			return nil
		})
		if err != nil {
			return after, err
		}
		if err := s.send(""); err != nil || n < flowPage { // sent now, when what was read is durable
			return after, err
		}
	}
}

// sent reports whether the event of seq is one of flow.
func (f *Front) sent(ctx context.Context, flow string, seq int64) (found bool, err error) {
	page := sqlite.EventFilter{Flow: flow, AfterSeq: seq - 1, Limit: 1}
	err = f.cfg.Journal.Reader().Events(ctx, page, func(e *journal.Event) error {
		found = e.Seq == seq
		return nil
	})
	return found, err
}

// LastEventID is the header with which a client resumes a stream.
const LastEventID = "Last-Event-ID"

// LastEvent returns the seq of the last event that the client has read; 0 without the header. The error wraps
// ErrBadRequest.
func LastEvent(h http.Header) (int64, error) {
	text := h.Get(LastEventID)
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 0 {
		return 0, fmt.Errorf("%w: %s must be the id of an event that this stream has sent", ErrBadRequest, LastEventID)
	}
	return seq, nil
}

// stream writes Server-Sent Events.
type stream struct {
	w   http.ResponseWriter
	buf bytes.Buffer
}

// oneLine removes line ends from the types of foreign events.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// event adds e to the next send.
func (s *stream) event(e journal.EventRecord) {
	fmt.Fprintf(&s.buf, "id: %d\n", e.Seq)
	fmt.Fprintf(&s.buf, "event: %s\n", oneLine.Replace(e.Type))
	fmt.Fprintf(&s.buf, "data: %s\n", encode(e))
}

// send sends the added events and text. send gives up a client that does not read for WriteTimeout.
func (s *stream) send(text string) error {
	s.buf.WriteString(text)
	if s.buf.Len() == 0 {
		return nil
	}
	if err := Unhurried(s.w, time.Now().Add(WriteTimeout)); err != nil {
		return err
	}
	if _, err := s.buf.WriteTo(s.w); err != nil {
		return fmt.Errorf("%w: %w", ErrLeft, err)
	}
	if err := http.NewResponseController(s.w).Flush(); err != nil {
		return fmt.Errorf("%w: %w", ErrLeft, err)
	}
	return nil
}
