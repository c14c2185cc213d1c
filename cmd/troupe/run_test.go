package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/transports/sqlite"
)

// announcement is the output of run --json after the start.
type announcement struct {
	URL, Journal, Name, Transport string
	Modules                       []string
}

// running is a run command that has announced itself.
type running struct {
	url   string
	said  announcement
	stop  context.CancelFunc // has the effect of a signal
	ended <-chan error
	log   *syncedLog
}

// syncedLog is stderr.
type syncedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *syncedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// MustStartRun starts run on a free port, with more flags if given.
func MustStartRun(tb testing.TB, journal string, more ...string) *running {
	tb.Helper()
	log := &syncedLog{}
	out, stop, ended := start(tb, log, append([]string{"run", "--json", "--journal", journal, "--http", "127.0.0.1:0", "--latency", "1ms"}, more...)...)
	r := &running{stop: stop, ended: ended, log: log}
	var said announcement
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		tb.Fatalf("%v\n%s", err, r.log)
	}
	if said.Journal != journal || said.Name == "" || len(said.Modules) == 0 || said.Transport == "" || !strings.HasPrefix(said.URL, "http://127.0.0.1:") || strings.HasSuffix(said.URL, ":0") {
		tb.Errorf("announced %+v", said)
	}
	r.url, r.said = said.URL, said
	return r
}

// MustStop ends the command like a signal. Its log must have no trouble.
func (r *running) MustStop(tb testing.TB) {
	tb.Helper()
	r.MustStopInTrouble(tb)
	if text := r.log.String(); strings.Contains(text, "level=ERROR") {
		tb.Errorf("log:\n%s", text)
	}
}

// MustStopInTrouble ends the command like a signal, whatever its log has.
func (r *running) MustStopInTrouble(tb testing.TB) {
	tb.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil || exitCode(err) != 0 {
			tb.Errorf("run ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		tb.Fatalf("run does not stop\n%s", r.log)
	}
}

// MustAsk sends a request and returns the answer's body as a map.
func (r *running) MustAsk(tb testing.TB, method, path, body string, want int) map[string]any {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var got map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || answer.StatusCode != want {
		tb.Fatalf("%s %s: %s %v %v, want %d", method, path, answer.Status, got, err, want)
	}
	return got
}

const runOrder = `{"customer_id": "ada", "lines": [{"sku": "TEA", "quantity": 1, "unit_price_cents": 250}]}`

func TestRunServesAndIsRunAgain(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "shop.db")
	r := MustStartRun(t, journal)
	r.MustAsk(t, "GET", "/readyz", "", http.StatusOK)
	r.MustAsk(t, "PUT", "/api/stock/TEA", `{"quantity": 10}`, http.StatusCreated)
	path := "/api/orders/" + r.MustAsk(t, "POST", "/api/orders", runOrder, http.StatusAccepted)["id"].(string)
	before := r.MustAsk(t, "GET", path+"?wait=30s", "", http.StatusOK)
	if before["status"] == "placed" {
		t.Errorf("order %v", before)
	}
	r.MustStop(t)
	if _, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://")); err == nil {
		t.Error("somebody still listens")
	}

	again := MustStartRun(t, journal)
	if after := again.MustAsk(t, "GET", path, "", http.StatusOK); after["status"] != before["status"] {
		t.Errorf("order %v, before %v", after, before)
	}
	again.MustStop(t)
}

// Requests in flight at the signal are finished, and need the bus; streams end.
func TestRunFinishesRequestsBeforeTheBusStops(t *testing.T) {
	t.Parallel()
	r := MustStartRun(t, filepath.Join(t.TempDir(), "shop.db"))
	id := r.MustAsk(t, "POST", "/api/orders", runOrder, http.StatusAccepted)["id"].(string)
	stream, err := http.Get(r.url + "/api/orders/" + id + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	if _, err := bufio.NewReader(stream.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	entered := make(chan struct{}) // the handler has asked for the body
	body, send := io.Pipe()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(entered) }})
	req, err := http.NewRequestWithContext(ctx, "POST", r.url+"/api/orders", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 30 * time.Second}}
	status := make(chan int, 1)
	go func() {
		answer, err := client.Do(req)
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		defer func() { _ = answer.Body.Close() }()
		status <- answer.StatusCode
	}()
	<-entered
	r.stop()
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream does not end cleanly: %v", err)
	}
	if _, err := io.WriteString(send, runOrder); err != nil {
		t.Fatal(err)
	}
	if err := send.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != http.StatusAccepted {
		t.Errorf("a request under way is answered with %d", got)
	}
	r.MustStop(t)
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	owned := filepath.Join(t.TempDir(), "owned.db")
	j, err := sqlite.Open(t.Context(), owned, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	fresh := filepath.Join(t.TempDir(), "fresh.db")
	for _, c := range []struct {
		name, want string
		code       int
		args       []string
	}{
		{"port in use", "in use by another program", exitWrong, []string{"--journal", fresh, "--http", taken.Addr().String()}},
		{"no such host", "choose another address with --http", exitWrong, []string{"--journal", fresh, "--http", "host.invalid:0"}},
		{"no address", "want host:port", exitUsage, []string{"--journal", fresh, "--http", "8080"}},
		{"backward latency", "--latency", exitUsage, []string{"--journal", fresh, "--latency", "-1s"}},
		{"some of the modules and nothing between them", "no transport to them", exitUsage, []string{"--modules", "order"}},
		{"two mistakes", "2 mistakes", exitUsage, []string{"--modules", "order", "--latency", "x"}},
		{"a secret as a flag", "TROUPE_POSTGRES_URL", exitUsage, []string{"--transport", "postgres", "--postgres-url", "postgres://u:hunter2@h/d"}},
		{"certificates that are not there", "/nowhere.pem", exitWrong, []string{"--journal", fresh, "--http", "127.0.0.1:0", "--transport", "kafka", "--brokers", "h:1", "--kafka-tls", "--kafka-tls-ca", "/nowhere.pem"}},
		{"arguments", "--help", exitUsage, []string{"now"}},
		{"journal in use", owned, exitWrong, []string{"--journal", owned, "--http", "127.0.0.1:0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ran := MustRunCommand(t, "run", c.args...)
			err := ran.err
			if err == nil || exitCode(err) != c.code || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, exit code %d, want %d and %q", err, exitCode(err), c.code, c.want)
			}
			if ran.stdout != "" {
				t.Errorf("printed %q", ran.stdout)
			}
		})
	}
}
