package kafka_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/transports/kafka"
)

// TestNotKafka: an address that speaks something else is told as such, at once and for little memory, also under TLS.
func TestNotKafka(t *testing.T) { // not parallel: it looks at the memory
	secure := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer secure.Close()
	const web = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request"
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	overTLS := config([]string{says(t, secure.TLS, web)})
	overTLS.TLS = kafka.TLS{Enabled: true, CAFile: ca}
	for name, cfg := range map[string]kafka.Config{
		"HTTP":   config([]string{says(t, nil, web)}),
		"HTTPS":  overTLS,
		"zeros":  config([]string{says(t, nil, "\x00\x00\x00\x00\x00\x00\x00\x00")}),
		"SSH":    config([]string{says(t, nil, "SSH-2.0-OpenSSH_9.6\r\n")}),
		"random": config([]string{says(t, nil, "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8")}),
	} {
		cfg.Timeout = 1e9
		tr := MustTransport(t, cfg)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, read := tr.Subscribe(t.Context(), "order")
		written := tr.Publish("order", message.NewMessage("1", nil))
		runtime.ReadMemStats(&after)
		for _, err := range []error{read, written} {
			if err == nil || !strings.Contains(err.Error(), "does not speak Kafka's protocol") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 128<<20 {
			t.Errorf("%s: it took %d bytes", name, used)
		}
	}
}

// TestTLSIsNamed: a listener that wants TLS is told as such where it is not on.
func TestTLSIsNamed(t *testing.T) {
	t.Parallel()
	tr := MustTransport(t, config([]string{says(t, nil, "\x15\x03\x03\x00\x02\x02\x46")}))
	if _, err := tr.Subscribe(t.Context(), "order"); err == nil || !strings.Contains(err.Error(), "check that its listener expects TLS (false)") {
		t.Errorf("of a listener with TLS it says %v", err)
	}
}

// says is the address of a server that answers a client's first bytes with text.
func says(t *testing.T, secure *tls.Config, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { _ = c.Close() })
			go func() {
				_, _ = bufio.NewReader(c).ReadByte()
				_, _ = fmt.Fprint(c, text)
			}()
		}
	}()
	return l.Addr().String()
}

// TestMemoryOfWhatNobodyTakes: a topic of messages that are large when they are unpacked, which nobody takes, costs a bounded
// memory.
func TestMemoryOfWhatNobodyTakes(t *testing.T) { // not parallel: it looks at the memory
	cfg := config(MustCluster(t).ListenAddrs())
	cfg.Compression = "zstd"
	tr := MustTransport(t, cfg)
	payload := make([]byte, 1<<20)
	for n := range 600 { // 600 MB, or a few hundred KB in Kafka
		m := message.NewMessage(fmt.Sprint(n), payload)
		MustPublish(t, tr, "order", m)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	in := MustSubscribe(t, tr, "order")
	first := Next(t, in)
	var last int
	eventually(t, func() bool { // until nothing more is delivered
		was := last
		stay(100e6)
		last = len(in)
		return last == was && last > 0
	}, "the delivery to come to rest")
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 100<<20 {
		t.Errorf("%d messages of 1 MiB wait, in %d MB of memory", last, used>>20)
	}
	first.Ack()
	for n := 1; n < 600; n++ {
		Next(t, in).Ack()
	}
}
