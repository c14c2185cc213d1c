package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/internal/front"
)

// Probes are answered while work holds the writer and others queue for it, and write nothing.
func TestProbesWaitForNobody(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		err := s.journal.Do(context.Background(), journal.Work{Name: "holds the writer"}, func(journal.TxFunc) ([]*journal.Event, error) {
			close(entered)
			<-release
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-entered
	for range 20 {
		working.Go(func() { s.MustPlace(t, oneTea) })
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		begun := time.Now()
		if code, _, body := s.call(t, "GET", path, ""); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("%s took %v", path, took)
		}
	}
	close(release)
	working.Wait()
}

func TestStreamsAndWaitsAreBounded(t *testing.T) {
	t.Parallel()
	s := MustShop(t, func(c *front.Config) { c.MaxHeld = 2 })
	s.outside.hold()
	path := s.MustPlace(t, oneTea)
	s.MustStream(t, path, "").MustEvents(t, 1)
	ctx, leave := context.WithCancel(t.Context())
	answer, err := http.DefaultClient.Do(s.MustRequest(t, "GET", path+"/events", "").WithContext(ctx))
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("second stream: %v %v", answer, err)
	}
	defer func() { _ = answer.Body.Close() }()
	for _, more := range []string{"/events", "?wait=1s"} {
		answer := s.do(t, s.MustRequest(t, "GET", path+more, ""))
		p := MustProblem(t, answer)
		if answer.StatusCode != http.StatusServiceUnavailable || p.Type != typed("unavailable") || !strings.Contains(p.Detail, "too many streams and waits are open: 2") || answer.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %+v", more, answer.Status, p)
		}
	}
	if code, _, body := s.call(t, "GET", path, ""); code != http.StatusOK {
		t.Errorf("without a wait: %d %s", code, body)
	}
	leave()
	s.awaitWatchers(t, strings.TrimPrefix(path, "/api/orders/"), 1)
	close(s.outside.open)
	s.MustEnd(t, path)
}

// slow is a body of which the rest comes when it is let.
type slow struct {
	first io.Reader
	read  chan struct{} // closed when the first part is read
	rest  chan struct{}
	once  sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.first.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	s.once.Do(func() { close(s.read) })
	<-s.rest
	return n, io.EOF
}

// Large bodies that come slowly take the places of large bodies only: small ones are read beside them, and one more is told.
func TestSlowBodiesHoldUpOnlyTheirKind(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	rest := make(chan struct{})
	large := `{"customer_id": "c1", "lines": [{"sku": "TEA", "quantity": 1, "unit_price_cents": 250}]` + strings.Repeat(" ", 2*smallBody) + "}"
	var sending sync.WaitGroup
	for range largeBodies {
		b := &slow{first: strings.NewReader(large), read: make(chan struct{}), rest: rest}
		sending.Go(func() {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/api/orders", b)
			r.Header.Set("Content-Type", "application/json")
			s.api.ServeHTTP(w, r)
			if w.Code != http.StatusAccepted {
				t.Errorf("a slow one: %d %s", w.Code, w.Body)
			}
		})
		<-b.read
	}
	s.MustPlace(t, oneTea)
	answer := s.do(t, s.MustRequest(t, "POST", "/api/orders", large))
	if p := MustProblem(t, answer); answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "send a smaller body") {
		t.Errorf("one too many: %s %+v", answer.Status, p)
	}
	close(rest)
	sending.Wait()
	s.MustPlace(t, large)
}

// A body that is refused costs about what it has, whatever is in it.
func TestRefusedBodiesCostLittle(t *testing.T) {
	for name, body := range map[string]string{
		"unknown members":     "{" + repeat(`"a%d":0`, maxBody/12) + "}",
		"unknown, far inside": `{"lines":[{"sku":{` + repeat(`"a%d":0`, maxBody/12) + `}}]}`,
		"entries":             `{"lines":[` + strings.TrimSuffix(strings.Repeat("0,", maxBody/2-20), ",") + `]}`,
		"objects":             `{"lines":[` + strings.TrimSuffix(strings.Repeat("{},", maxBody/3-20), ",") + `]}`,
		"arrays":              `{"lines":` + strings.Repeat("[", maxBody/2) + strings.Repeat("]", maxBody/2-20) + `}`,
		"a name":              `{"` + strings.Repeat("a", maxBody-20) + `":0}`,
		"a text":              `{"customer_id":"` + strings.Repeat("a", maxBody-30) + `"}`,
	} {
		if len(body) > maxBody {
			t.Fatalf("%s: %d bytes", name, len(body))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodeOrder([]byte(body))
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		if cost := after.TotalAlloc - before.TotalAlloc; cost > 16*maxBody {
			t.Errorf("%s: %d KiB are allocated for %d", name, cost>>10, len(body)>>10)
		}
		var p *problem
		if text, _ := json.Marshal(err); errors.As(err, &p) && len(text)+len(p.Detail) > 64<<10 {
			t.Errorf("%s: an answer of %d bytes", name, len(text))
		}
	}
}

// repeat is n members, each with another number.
func repeat(format string, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i%1_000_000)
	}
	return b.String()
}

func TestBodiesByTheirLength(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	for _, n := range []int{smallBody - 1, smallBody, smallBody + 1, maxBody} {
		body := oneTea + strings.Repeat(" ", n-len(oneTea))
		for _, known := range []bool{true, false} {
			r := s.MustRequest(t, "POST", "/api/orders", body)
			if !known {
				r.ContentLength, r.Body = -1, io.NopCloser(bytes.NewReader([]byte(body)))
			}
			if answer := s.do(t, r); answer.StatusCode != http.StatusAccepted {
				t.Errorf("%d bytes, length known %t: %s", n, known, answer.Status)
			}
			r = s.MustRequest(t, "POST", "/api/orders", body+strings.Repeat(" ", maxBody-n+1))
			if !known {
				r.ContentLength = -1
			}
			if answer := s.do(t, r); answer.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("one byte too many, length known %t: %s", known, answer.Status)
			}
		}
	}
}

// The two halves of the rule for names say the same: that of the shop, and that of the wire.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"TEA", "a\u202eb", "\xff", "\ufffe", "a\nb", "\u2028", "🙂\u200d", "\uFFFD"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if shop, onWire := order.BadName(s, len(s)), wire.CheckName(s); (shop == "") != (onWire == nil) {
			t.Fatalf("%q: %q here, %v on the wire", s, shop, onWire)
		}
	})
}
