package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/front"
)

func TestStopEndsWaitsAndStreams(t *testing.T) {
	t.Parallel()
	s := MustShop(t, func(c *front.Config) { c.ShutdownTimeout = time.Minute })
	s.outside.hold()
	path := s.MustPlace(t, oneTea)
	stream := s.MustStream(t, path, "")
	stream.MustEvents(t, 2)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if o := s.MustEnd(t, path); o.Status != "placed" {
			t.Errorf("the wait ends with %s", o.Status)
		}
	})
	s.awaitWatchers(t, strings.TrimPrefix(path, "/api/orders/"), 2)
	s.stop()
	stopped := time.Now()
	waiting.Wait()
	if took := time.Since(stopped); took > 10*time.Second {
		t.Errorf("the wait ends after %v", took)
	}
	if _, err := stream.lines.ReadString('\n'); err == nil {
		t.Error("the stream goes on")
	}
	select {
	case err := <-s.served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not return")
	}
	if _, err := http.Get(s.url + "/healthz"); err == nil {
		t.Error("requests are still taken")
	}
	close(s.outside.open)
}

func TestRequestsOutliveTheStop(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s := MustShop(t, nil)
	s.api.handle("GET /slow", func(w http.ResponseWriter, r *http.Request) error {
		close(entered)
		<-release
		return s.api.reply(w, r, http.StatusOK, health{Status: "finished"})
	})
	var asking sync.WaitGroup
	asking.Go(func() {
		if code, _, body := s.call(t, "GET", "/slow", ""); code != http.StatusOK || MustDecode[health](t, body).Status != "finished" {
			t.Errorf("answer %d %s", code, body)
		}
	})
	<-entered
	s.stop()
	<-s.front.Stopping()
	close(release)
	asking.Wait()
}

func TestRequestsThatDoNotEndAreCutOff(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s := MustShop(t, func(c *front.Config) { c.ShutdownTimeout = time.Millisecond })
	s.api.handle("GET /stuck", func(w http.ResponseWriter, r *http.Request) error {
		close(entered)
		<-release
		return nil
	})
	var asking sync.WaitGroup
	asking.Go(func() {
		answer, err := http.DefaultClient.Do(s.MustRequest(t, "GET", "/stuck", ""))
		if err == nil {
			t.Errorf("answer %s", answer.Status)
			_ = answer.Body.Close()
		}
	})
	<-entered
	s.stop()
	asking.Wait()
	close(release)
	if err := <-s.served; err != nil {
		t.Error(err)
	}
	if text := s.log.String(); !strings.Contains(text, "cut off") {
		t.Errorf("log: %s", text)
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	s.api.handle("GET /panic", func(http.ResponseWriter, *http.Request) error { panic("secret of another") })
	s.api.handle("GET /half", func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.Write([]byte("half"))
		return errors.Join(err, http.NewResponseController(w).Flush(), errors.New("then it broke"))
	})
	answer := s.do(t, s.MustRequest(t, "GET", "/panic", ""))
	p := MustProblem(t, answer)
	if answer.StatusCode != http.StatusInternalServerError || p.Status != 500 || strings.Contains(p.Detail+p.Title, "secret") {
		t.Errorf("panic: %s %+v", answer.Status, p)
	}
	if text := s.log.String(); !strings.Contains(text, "secret of another") || !strings.Contains(text, "serve_test.go") {
		t.Errorf("log: %s", text)
	}
	answer = s.do(t, s.MustRequest(t, "GET", "/half", ""))
	if _, err := answer.Body.Read(make([]byte, 100)); err == nil {
		_, err = answer.Body.Read(make([]byte, 100))
		if err == nil || err.Error() == "EOF" {
			t.Errorf("half an answer looks whole: %v", err)
		}
	}
	if text := s.log.String(); !strings.Contains(text, "then it broke") {
		t.Errorf("log: %s", text)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	for path, want := range map[string]string{"/healthz": "alive", "/readyz": "ready"} {
		if code, _, body := s.call(t, "GET", path, ""); code != http.StatusOK || MustDecode[health](t, body).Status != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// sick is a journal that takes no writes.
type sick struct{ front.Journal }

func (sick) Health() error {
	return errors.Join(journal.ErrUnavailable, errors.New("disk is full"))
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*front.Config)
		detail string
	}{
		{"the journal is sick", func(c *front.Config) { c.Journal = sick{c.Journal} }, "disk is full"},
		{"the bus does not run", func(c *front.Config) { c.Ready = bus.New(nil, bus.Config{}).Ready }, "not running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := MustShop(t, c.change)
			answer := s.do(t, s.MustRequest(t, "GET", "/readyz", ""))
			p := MustProblem(t, answer)
			if answer.StatusCode != http.StatusServiceUnavailable || p.Type != typed("unavailable") || !strings.Contains(p.Detail, c.detail) || answer.Header.Get("Retry-After") == "" {
				t.Errorf("answer %s %+v", answer.Status, p)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Orders") {
		t.Errorf("New: %v", err)
	}
}
