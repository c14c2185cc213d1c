package httpapi

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

// streamFlow sends what is in an order's flow, and then what comes, until the client leaves or the server stops.
func (a *API) streamFlow(w http.ResponseWriter, r *http.Request) error {
	after, err := lastEventID(r.Header)
	if err != nil {
		return err
	}
	ctx, id := r.Context(), r.PathValue("id")
	if _, err := a.cfg.Orders.Get(ctx, id); err != nil {
		return err
	}
	from := ""
	if after > 0 {
		known, err := a.sent(ctx, id, after)
		if err != nil {
			return err
		}
		if !known { // of another journal, or stream
			after, from = 0, ": the Last-Event-ID is of no event of this stream: it begins at its beginning\n"
		}
	}
	release, err := a.hold()
	if err != nil {
		return err
	}
	defer release()
	woken, stop := a.news.watch(id) // before the first look, so that no event falls between
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy is not to hold events back
	s := stream{w: w}
	if err := s.send(from + "retry: 2000\n\n"); err != nil || r.Method == http.MethodHead {
		return err
	}
	beat := time.NewTicker(a.cfg.Heartbeat)
	defer beat.Stop()
	for {
		if after, err = a.sendNew(ctx, &s, id, after); err != nil {
			return err
		}
		select {
		case <-woken:
		case <-beat.C:
			if err := s.send(":\n\n"); err != nil {
				return err
			}
		case <-a.stopping:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// sendNew sends all that is in the flow behind seq after, and returns the new after.
func (a *API) sendNew(ctx context.Context, s *stream, flow string, after int64) (int64, error) {
	for {
		page := sqlite.EventFilter{Flow: flow, AfterSeq: after, Limit: flowPage}
		n := 0
		err := a.cfg.Journal.Reader().Events(ctx, page, func(e *journal.Event) error {
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
func (a *API) sent(ctx context.Context, flow string, seq int64) (found bool, err error) {
	page := sqlite.EventFilter{Flow: flow, AfterSeq: seq - 1, Limit: 1}
	err = a.cfg.Journal.Reader().Events(ctx, page, func(e *journal.Event) error {
		found = e.Seq == seq
		return nil
	})
	return found, err
}

// hold takes one of the places that requests have which are answered only after a while; release gives it back.
func (a *API) hold() (release func(), err error) {
	select {
	case a.held <- struct{}{}:
		return func() { <-a.held }, nil
	default:
		p := unavailable(errors.New("too many streams and waits"))
		p.header.Set("Connection", "close") // which may be all that others lack
		p.Detail = fmt.Sprintf("%d streams and waits are open, which is the most: close one, or try again; without wait, an order is answered at once", cap(a.held))
		return nil, p
	}
}

func lastEventID(h http.Header) (int64, error) {
	const name = "Last-Event-ID"
	text := h.Get(name)
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 0 {
		return 0, malformed("it is not known where to go on", fault{Header: name, Detail: "must be the id of an event that this stream has sent"})
	}
	return seq, nil
}

// errLeft: the client is gone, or takes nothing. Nobody is left to be answered.
var errLeft = errors.New("httpapi: the client has left")

// stream writes Server-Sent Events.
type stream struct {
	w   http.ResponseWriter
	buf bytes.Buffer
}

// oneLine keeps a type that somebody published past the bus from ending its line.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// event adds e to what is sent next. As JSON it has one line end, its own.
func (s *stream) event(e journal.EventRecord) {
	fmt.Fprintf(&s.buf, "id: %d\n", e.Seq)
	fmt.Fprintf(&s.buf, "event: %s\n", oneLine.Replace(e.Type))
	fmt.Fprintf(&s.buf, "data: %s\n", encode(e))
}

// send sends what was added, then text. A client that takes nothing for too long is given up.
func (s *stream) send(text string) error {
	s.buf.WriteString(text)
	if s.buf.Len() == 0 {
		return nil
	}
	if err := unhurried(s.w, time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := s.buf.WriteTo(s.w); err != nil {
		return fmt.Errorf("%w: %w", errLeft, err)
	}
	if err := http.NewResponseController(s.w).Flush(); err != nil {
		return fmt.Errorf("%w: %w", errLeft, err)
	}
	return nil
}
