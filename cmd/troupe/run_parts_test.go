package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupebus/troupe/internal/servers"
)

// parts are two deployables of one shop, and their Kafka. Each of the three may run or not.
type parts struct {
	folder string
	port   int
	over   []string // the flags of the transport
	kafka  *kfake.Cluster
	front  *running // runs order, inventory and notification
	back   *running // runs payment and shipping
	orders int
}

// MustParts prepares the deployables. None runs yet.
func MustParts(tb testing.TB) *parts {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // finds a free port, which the test must know before Kafka listens there
	if err != nil {
		tb.Fatal(err)
	}
	p := &parts{folder: tb.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
	p.over = []string{"--transport", "kafka", "--brokers", l.Addr().String()}
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	return p
}

// MustKafka starts Kafka, which ends with the test.
func (p *parts) MustKafka(tb testing.TB) {
	tb.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(p.port))
	if err != nil {
		tb.Fatal(err)
	}
	p.kafka = c
	tb.Cleanup(c.Close)
}

func (p *parts) flags(modules string, more ...string) []string {
	return slices.Concat([]string{"--modules", modules}, p.over, more)
}

func (p *parts) MustFront(tb testing.TB) {
	tb.Helper()
	p.front = MustStartRun(tb, filepath.Join(p.folder, "front.db"), p.flags("order,inventory,notification", "--name", "front")...)
}

func (p *parts) MustBack(tb testing.TB) {
	tb.Helper()
	p.back = MustStartRun(tb, filepath.Join(p.folder, "back.db"), p.flags("payment,shipping", "--peers", "order=http://front:8080")...)
}

// MustPlace places an order for an article in stock.
func (p *parts) MustPlace(tb testing.TB) (path string) {
	tb.Helper()
	sku := fmt.Sprintf("TEA-%d", p.orders)
	p.orders++
	p.front.MustAsk(tb, "PUT", "/api/stock/"+sku, `{"quantity": 1}`, http.StatusCreated)
	order := strings.Replace(runOrder, `"TEA"`, `"`+sku+`"`, 1)
	return "/api/orders/" + p.front.MustAsk(tb, "POST", "/api/orders", order, http.StatusAccepted)["id"].(string)
}

// MustEnd waits for the end of an order. A decline is also an end, because payment has answered.
func (p *parts) MustEnd(tb testing.TB, path string) {
	tb.Helper()
	if got := p.front.MustAsk(tb, "GET", path+"?wait=60s", "", http.StatusOK); got["status"] == "placed" {
		tb.Errorf("order %v\nfront:\n%s\nback:\n%s", got, p.front.log, p.back.log)
	}
}

func TestTwoDeployablesAreOneShop(t *testing.T) {
	t.Parallel()
	p := MustParts(t)
	p.MustKafka(t)
	p.MustFront(t)
	p.MustBack(t)
	if s := p.front.said; s.Name != "front" || !slices.Equal(s.Modules, []string{"order", "inventory", "notification"}) || s.Transport != "kafka" {
		t.Errorf("announced %+v", s)
	}
	if s := p.back.said; s.Name != "payment-shipping" {
		t.Errorf("announced %+v", s)
	}
	p.MustEnd(t, p.MustPlace(t))
	answer := p.back.MustAsk(t, "GET", "/api/orders/x?wait=1s", "", http.StatusMisdirectedRequest)
	if answer["module"] != "order" || answer["there"] != "http://front:8080/api/orders/x?wait=1s" {
		t.Errorf("answer %v", answer)
	}
	p.back.MustAsk(t, "GET", "/healthz", "", http.StatusOK)
	for _, r := range []*running{p.front, p.back} {
		var ready map[string]any
		for range time.Tick(10 * time.Millisecond) { // a link may still be connecting
			if ready = r.MustAsk(t, "GET", "/readyz", "", http.StatusOK); ready["status"] == "ready" {
				break
			}
		}
		if len(ready["links"].([]any)) < 3 {
			t.Errorf("readiness %v", ready)
		}
	}
	p.front.MustStop(t)
	p.back.MustStop(t)
}

func TestTwoDeployablesMeetOverPostgres(t *testing.T) {
	t.Parallel()
	url := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(url, []byte(servers.Postgres(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &parts{folder: t.TempDir(), over: []string{"--transport", "postgres", "--postgres-url-file", url}}
	p.MustFront(t)
	placed := p.MustPlace(t)
	p.MustBack(t)
	p.MustEnd(t, placed)
	p.front.MustStop(t)
	p.back.MustStop(t)
}

// An order ends, whichever deployable starts last. So does an order that was placed while only its own deployable
// ran, and whose deployable stopped before the other one started.
// deployable stops.
func TestDeployablesStartAndStopInAnyOrder(t *testing.T) {
	t.Parallel()
	t.Run("back first", func(t *testing.T) {
		t.Parallel()
		p := MustParts(t)
		p.MustKafka(t)
		p.MustBack(t)
		p.MustFront(t)
		p.MustEnd(t, p.MustPlace(t))
		p.back.MustStop(t)
		left := p.MustPlace(t)
		p.front.MustStop(t)
		p.MustBack(t) // Kafka has the events of front
		p.MustFront(t)
		p.MustEnd(t, left)
		p.MustEnd(t, p.MustPlace(t))
		p.front.MustStop(t)
		p.back.MustStop(t)
	})
	t.Run("front first", func(t *testing.T) {
		t.Parallel()
		p := MustParts(t)
		p.MustKafka(t)
		p.MustFront(t)
		placed := p.MustPlace(t)
		p.MustBack(t)
		p.MustEnd(t, placed)
		p.front.MustStop(t)
		p.back.MustStop(t)
		p.MustFront(t)
		left := p.MustPlace(t)
		p.MustBack(t)
		p.MustEnd(t, left)
		p.back.MustStop(t)
		p.front.MustStop(t)
	})
}

// Without Kafka each deployable starts, accepts work, reports the problem, and stops; with Kafka, all deployables
// catch up.
func TestDeployablesDoNotWaitForKafka(t *testing.T) {
	t.Parallel()
	p := MustParts(t)
	p.MustFront(t)
	p.MustBack(t)
	first := p.MustPlace(t)
	p.awaitDegraded(t, p.front)
	p.awaitDegraded(t, p.back)
	p.front.MustStopInTrouble(t)
	p.MustFront(t)
	second := p.MustPlace(t)
	p.MustKafka(t)
	p.MustEnd(t, first)
	p.MustEnd(t, second)
	p.front.MustStopInTrouble(t) // the problem is over, but in the log
	p.back.MustStopInTrouble(t)
}

// awaitDegraded waits until a link has failed, which it does at its first try: each request causes a commit.
func (p *parts) awaitDegraded(tb testing.TB, r *running) {
	tb.Helper()
	for {
		ready := r.MustAsk(tb, "GET", "/readyz", "", http.StatusOK)
		if ready["status"] == "degraded" {
			return
		}
		if err := tb.Context().Err(); err != nil {
			tb.Fatalf("readiness %v: %v", ready, err)
		}
	}
}

// Two deployables cannot have one journal.
func TestASecondRunOnAJournalIsRefused(t *testing.T) {
	t.Parallel()
	p := MustParts(t)
	p.MustFront(t)
	ran := MustRunCommand(t, "run", append([]string{"--journal", filepath.Join(p.folder, "front.db"), "--http", "127.0.0.1:0"}, p.flags("payment,shipping")...)...)
	if err := ran.err; exitCode(err) != exitWrong || !strings.Contains(err.Error(), "front.db") {
		t.Errorf("error %v", err)
	}
	p.front.MustStopInTrouble(t)
}
