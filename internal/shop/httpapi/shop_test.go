package httpapi

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
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/transports/sqlite"
)

// health is what a probe answers.
type health struct {
	Status string
	Links  any
}

// shop is a running shop behind its API.
type shop struct {
	url     string
	api     *API
	front   *front.Front
	outside *outside
	journal *sqlite.Journal
	links   func() []bus.Link // of a part
	log     *log
	stop    context.CancelFunc // of Serve
	served  chan error
}

// MustShop runs a shop on a journal of its own, with some of everything in stock.
func MustShop(tb testing.TB, change func(*front.Config)) *shop {
	tb.Helper()
	s := &shop{outside: &outside{open: make(chan struct{}), waits: make(chan struct{}, 1)}, log: &log{}, served: make(chan error, 1)}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	j, err := sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "shop.db"), sqlite.Config{Synchronous: "normal", Logger: logger})
	if err != nil {
		tb.Fatal(err)
	}
	s.journal = j
	retry := bus.Retry{First: time.Millisecond, Max: time.Millisecond}
	b := bus.New(j, bus.Config{Logger: logger, Retry: retry, ExternalRetry: retry})
	c := Config{Orders: handlers.Order(b), Stock: handlers.Inventory(b), Logger: logger}
	handlers.Payment(b, s.outside, 2)
	handlers.Shipping(b, s.outside, 2)
	handlers.Notification(b)
	f := front.Config{Journal: j, Logger: logger}
	if change != nil {
		change(&f)
	}
	s.open(tb, f, c)
	s.serve(tb, b)
	if code, _, body := s.call(tb, "PUT", "/api/stock/TEA", `{"quantity": 100}`); code != http.StatusCreated {
		tb.Fatalf("first delivery: %d %s", code, body)
	}
	return s
}

// open makes the API behind a server.
func (s *shop) open(tb testing.TB, f front.Config, c Config) {
	tb.Helper()
	s.front = front.New(f)
	c.Front = s.front
	var err error
	if s.api, err = New(c); err != nil {
		tb.Fatal(err)
	}
}

// serve runs the bus and the API, and has them stopped in the order in which the program does.
func (s *shop) serve(tb testing.TB, b *bus.Bus) {
	tb.Helper()
	running, stopBus := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(running) }()
	select {
	case <-b.Running():
	case err := <-ended:
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	serving, stop := context.WithCancel(context.Background())
	s.stop = stop
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.served <- s.front.Serve(serving, l, s.api)
	}()
	tb.Cleanup(func() {
		stop()
		<-done
		stopBus()
		if err := errors.Join(<-ended, s.journal.Close()); err != nil {
			tb.Error(err)
		}
	})
}

// do sends a request and returns the answer with its body unread.
func (s *shop) do(tb testing.TB, r *http.Request) *http.Response {
	tb.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// MustRequest is a request with a JSON body.
func (s *shop) MustRequest(tb testing.TB, method, path, body string) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// call sends a request and reads the answer.
func (s *shop) call(tb testing.TB, method, path, body string) (int, http.Header, string) {
	tb.Helper()
	answer := s.do(tb, s.MustRequest(tb, method, path, body))
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

const oneTea = `{"customer_id": "c1", "lines": [{"sku": "TEA", "quantity": 1, "unit_price_cents": 250}]}`

// MustPlace places an order and returns its path.
func (s *shop) MustPlace(tb testing.TB, body string) string {
	tb.Helper()
	code, header, text := s.call(tb, "POST", "/api/orders", body)
	if code != http.StatusAccepted {
		tb.Fatalf("place: %d %s", code, text)
	}
	return header.Get("Location")
}

// MustEnd waits for the order's end.
func (s *shop) MustEnd(tb testing.TB, path string) orderView {
	tb.Helper()
	code, _, body := s.call(tb, "GET", path+"?wait=30s", "")
	if code != http.StatusOK {
		tb.Fatalf("wait: %d %s", code, body)
	}
	return MustDecode[orderView](tb, body)
}

// MustDecode reads JSON that has what T has and nothing else.
func MustDecode[T any](tb testing.TB, text string) (v T) {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return v
}

// outside is a gateway and carrier that answers when open is closed, and at once for orders that are not held.
type outside struct {
	mu   sync.Mutex
	held bool
	open chan struct{}

	waits chan struct{} // gets a value when a charge waits
}

// hold keeps every charge from now on waiting until the test closes open.
func (o *outside) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = true
}

func (o *outside) Charge(ctx context.Context, c payment.Charge) (payment.Receipt, error) {
	o.mu.Lock()
	held := o.held
	o.mu.Unlock()
	if held {
		select {
		case o.waits <- struct{}{}:
		default:
		}
		select {
		case <-o.open:
		case <-ctx.Done():
			return payment.Receipt{}, ctx.Err()
		}
	}
	return payment.Receipt{Reference: "paid-" + c.OrderID}, nil
}

func (o *outside) Refund(_ context.Context, r payment.Refund) (payment.Receipt, error) {
	return payment.Receipt{Reference: "back-" + r.OrderID}, nil
}

func (o *outside) Dispatch(_ context.Context, p shipping.Parcel) (shipping.Label, error) {
	return shipping.Label{Tracking: "track-" + p.OrderID}, nil
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
