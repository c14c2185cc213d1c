package front

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// visited is emitted by visits. bills answers it with billed, once the insurer is open, and notes reacts to that with
// nothing.
type (
	visited struct {
		Patient string `json:"patient"`
	}
	billed struct {
		Patient string `json:"patient"`
	}
)

func (visited) EventType() string  { return "visits.visited" }
func (e visited) EventKey() string { return e.Patient }
func (billed) EventType() string   { return "bills.billed" }
func (e billed) EventKey() string  { return e.Patient }

// clinic is a running program behind a Front.
type clinic struct {
	url    string
	front  *Front
	visits *bus.Module
	open   chan struct{} // closed when the insurer answers
	noted  chan struct{} // closed when notes may end
	log    *log
	stop   context.CancelFunc // of Serve
	served chan error
}

// MustClinic runs a clinic on a journal of its own, whose insurer answers at once unless held.
func MustClinic(tb testing.TB, held bool, routes http.Handler, change func(*Config)) *clinic {
	tb.Helper()
	c := &clinic{open: make(chan struct{}), noted: make(chan struct{}), log: &log{}, served: make(chan error, 1)}
	if !held {
		close(c.open)
		close(c.noted)
	}
	logger := slog.New(slog.NewTextHandler(c.log, nil))
	j, err := sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "clinic.db"), sqlite.Config{Synchronous: "off", Logger: logger})
	if err != nil {
		tb.Fatal(err)
	}
	b := bus.New(j, bus.Config{Logger: logger})
	c.visits = b.Module("visits").Emits(visited{})
	bus.On(b.Module("bills"), "claim", func(ctx context.Context, e visited) (bus.Events, error) {
		return bus.Emit(billed(e)), wait(ctx, c.open)
	}).Emits(billed{})
	bus.On(b.Module("notes"), "note", func(ctx context.Context, _ billed) (bus.Events, error) { return nil, wait(ctx, c.noted) })
	cfg := Config{Journal: j, Ready: b.Ready, Logger: logger}
	if change != nil {
		change(&cfg)
	}
	c.front = New(cfg)
	running, stopBus := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(running) }()
	<-b.Running()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	c.url = "http://" + l.Addr().String()
	serving, stop := context.WithCancel(context.Background())
	c.stop = stop
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.served <- c.front.Serve(serving, l, routes)
	}()
	tb.Cleanup(func() {
		stop()
		<-done
		stopBus()
		if err := errors.Join(<-ended, j.Close()); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func wait(ctx context.Context, open chan struct{}) error {
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// visit has a patient come, in a flow.
func (c *clinic) visit(tb testing.TB, flow, patient string) {
	tb.Helper()
	if _, err := c.visits.Publish(bus.Correlate(tb.Context(), flow), visited{patient}); err != nil {
		tb.Fatal(err)
	}
}

// do sends a request and returns the answer with its body unread.
func (c *clinic) do(tb testing.TB, method, path string, header ...string) *http.Response {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, c.url+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// MustGet gets path, which is answered with want, as a T.
func MustGet[T any](tb testing.TB, c *clinic, path string, want int) (v T, h http.Header) {
	tb.Helper()
	answer := c.do(tb, "GET", path)
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil || answer.StatusCode != want {
		tb.Fatalf("GET %s: %s %s %v, want %d", path, answer.Status, text, err, want)
	}
	return v, answer.Header
}

// awaitWatchers returns when n requests watch a flow.
func (c *clinic) awaitWatchers(tb testing.TB, flow string, n int) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for c.front.Watching(flow) != n {
		select {
		case <-tick.C:
		case <-tb.Context().Done():
			tb.Fatal(tb.Context().Err())
		}
	}
}

// log collects what is logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) says(what string) bool { return strings.Contains(l.String(), what) }
