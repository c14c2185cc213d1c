package httpserve

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// MustServe serves c on a free port, and returns its address.
func MustServe(tb testing.TB, c Config) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	c.Logger = slog.New(slog.DiscardHandler)
	s := New(c)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		_ = s.Close()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return l.Addr().String()
}

// answering answers with the path, and holds what is asked of /held until the server is closed.
func answering() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path)
		if r.URL.Path == "/held" {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})
}

// exchange sends a request as it is written, and reads the head of the answer and, unless it is held, the body.
func exchange(tb testing.TB, address, request string) (*http.Response, string) {
	tb.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		tb.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		tb.Fatalf("%v after %.100q", err, request)
	}
	if strings.Contains(request, "/held") {
		return answer, ""
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer, string(body)
}

func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	address := MustServe(t, Config{Handler: answering(), Hosts: []string{"Shop.Example"}})
	for _, c := range []struct {
		name, method, headers string
		want                  int
	}{
		{"by address", "POST", "Host: " + address, 200},
		{"by name", "POST", "Host: shop.example:8080", 200},
		{"by another name", "GET", "Host: evil.example", 421},
		{"by another name that writes", "PUT", "Host: evil.example:8080", 421},
		{"a page of the same origin", "POST", "Host: localhost\r\nOrigin: http://localhost\r\nSec-Fetch-Site: same-origin", 200},
		{"a page of another origin reads", "GET", "Host: localhost\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: cross-site", 200},
		{"a page of another origin writes", "POST", "Host: localhost\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: cross-site", 403},
		{"one of an older browser", "PUT", "Host: localhost\r\nOrigin: http://evil.example", 403},
		{"one without an origin", "POST", "Host: localhost\r\nOrigin: null", 403},
		{"large headers", "GET", "Host: localhost\r\nX-Large: " + strings.Repeat("x", maxHeader+8<<10), 431},
		{"headers that fit", "GET", "Host: localhost\r\nX-Large: " + strings.Repeat("x", maxHeader-8<<10), 200},
	} {
		answer, body := exchange(t, address, c.method+" /x HTTP/1.1\r\n"+c.headers+"\r\nContent-Length: 0\r\n\r\n")
		if answer.StatusCode != c.want {
			t.Errorf("%s: %s %s, want %d", c.name, answer.Status, body, c.want)
		}
		if c.want == 421 || c.want == 403 {
			wantProblem(t, answer, body)
		}
	}
	if answer, _ := exchange(t, address, "GET /x HTTP/1.0\r\n\r\n"); answer.StatusCode != 200 {
		t.Errorf("without a host: %s", answer.Status)
	}
}

func wantProblem(t *testing.T, answer *http.Response, body string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != answer.StatusCode || p.Detail == "" || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("problem %+v of %q with %v: %v", p, body, answer.Header, err)
	}
}

// More clients than there may be are told so, and the process can still be looked after.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	address := MustServe(t, Config{Handler: answering(), Probes: []string{"/readyz"}, MaxConnections: 2})
	ask := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }
	for range 2 {
		if answer, _ := exchange(t, address, ask("/held")); answer.StatusCode != 200 {
			t.Fatalf("one that may be: %s", answer.Status)
		}
	}
	answer, body := exchange(t, address, ask("/x"))
	if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" || !answer.Close || !strings.Contains(body, "2 clients") {
		t.Errorf("one too many: %s %v %s", answer.Status, answer.Header, body)
	}
	wantProblem(t, answer, body)
	if answer, body := exchange(t, address, ask("/readyz")); answer.StatusCode != 200 || body != "/readyz" || !answer.Close {
		t.Errorf("a probe: %s %s", answer.Status, body)
	}
	for range 3 * spare { // idle ones take the spare places, until their time for a header is over
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	begun := time.Now()
	if answer, body := exchange(t, address, ask("/readyz")); answer.StatusCode != 200 || body != "/readyz" {
		t.Errorf("a probe behind many: %s %s", answer.Status, body)
	}
	if took := time.Since(begun); took > 4*headerTimeout {
		t.Errorf("a probe behind many took %v", took)
	}
}

// A place that is given back can be had again.
func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	address := MustServe(t, Config{Handler: answering(), MaxConnections: 1})
	for i := 0; ; i++ { // more than there are places; and the one that is no spare one is had again, once the last client has left it
		answer, _ := exchange(t, address, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", i))
		if i > 3*spare && answer.StatusCode == 200 {
			return
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for files, want := range map[int]int{10: 16, 200: 72, 1024: 896, 1 << 20: 8192} {
		if got := limits(files); got.Connections != want || got.Held != want/2 {
			t.Errorf("of %d files: %+v, want %d connections", files, got, want)
		}
	}
	if got := Limits(); got.Connections < minConnections {
		t.Errorf("limits %+v", got)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	h := allowed([]string{"shop.example", "KAFKA-1."})
	for host, want := range map[string]bool{
		"": true, "localhost": true, "LOCALHOST:80": true, "app.localhost": true, "127.0.0.1": true, "127.0.0.1:8080": true, "[::1]:8080": true, "[::1]": true, "::1": true,
		"10.1.2.3": true, "[fe80::1%25eth0]:80": true, "shop.example": true, "Shop.Example.:80": true, "kafka-1": true,
		"evil.example": false, "localhost.evil.example": false, "evillocalhost": false, "127.0.0.1.evil.example": false, "0x7f.1": false, "2130706433": false,
		"a.shop.example": false, "shop.example@evil": false, "[evil]": false, "127.0.0.1:80:80": false, "localhost:80:80": false,
		"::%[": false, "[fe80::1%evil@x]:80": false, "[::1": false, "::1]": false, "[127.0.0.1": false,
	} {
		if h.has(host) != want {
			t.Errorf("%q: %t", host, !want)
		}
	}
}

// FuzzHost: what is answered for is an address, a name of this machine, or one that is configured: nobody else can have a page
// that is asked by it.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"localhost", "127.0.0.1:80", "[::1]", "evil.example", "shop.example.", "a.localhost:1"} {
		f.Add(host)
	}
	h := allowed([]string{"shop.example"})
	f.Fuzz(func(t *testing.T, host string) {
		if !h.has(host) || host == "" {
			return
		}
		name := host
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && strings.Count(host, ":") == 1 || strings.Contains(host, "]:") {
			name = host[:i]
		}
		name = strings.Trim(strings.ToLower(name), "[]")
		if _, err := netip.ParseAddr(name); err == nil {
			return
		}
		name = strings.TrimSuffix(name, ".")
		if name != "localhost" && name != "shop.example" && !strings.HasSuffix(name, ".localhost") {
			t.Fatalf("%q is answered for", host)
		}
	})
}

func TestShutdownIsNoError(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Handler: answering()})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	if answer, _ := exchange(t, l.Addr().String(), "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); answer.StatusCode != 200 {
		t.Errorf("answer %s", answer.Status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
