package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
)

// MustStartObserve starts observe on a free port.
func MustStartObserve(tb testing.TB, path string, more ...string) *running {
	tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	r := &running{stop: stop, ended: make(chan error, 1), log: &syncedLog{}}
	cmd := observeCmd(&options{stdout: stdout, stderr: r.log, json: true}, nil)
	cmd.SetArgs(append([]string{"--journal", path, "--http", "127.0.0.1:0"}, more...))
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := cmd.ExecuteContext(ctx)
		r.ended <- err
		_ = stdout.CloseWithError(errors.Join(errors.New("observe has ended"), err))
	}()
	tb.Cleanup(func() {
		stop()
		<-done
	})
	var said struct{ URL, Journal string }
	if err := json.NewDecoder(out).Decode(&said); err != nil || said.Journal != path {
		tb.Fatalf("announced %+v, %v\n%s", said, err, r.log)
	}
	r.url = said.URL
	return r
}

// MustGet gets path, which is answered with want, as a T.
func MustGet[T any](tb testing.TB, r *running, path string, want int) (got T) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), "GET", r.url+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || answer.StatusCode != want {
		tb.Fatalf("GET %s: %s %+v %v, want %d", path, answer.Status, got, err, want)
	}
	return got
}

// Two deployables over Kafka, and who watches them: over HTTP, on the journal, and once more from the beginning.
func TestObserve(t *testing.T) {
	t.Parallel()
	p := MustParts(t)
	path := filepath.Join(p.folder, "observer.db")
	transport := []string{"--transport", "kafka", "--brokers", fmt.Sprintf("127.0.0.1:%d", p.port)}
	r := MustStartObserve(t, path, transport...) // before there is anything to observe
	MustGet[map[string]any](t, r, "/healthz", http.StatusOK)
	if got := mustStatus(t, "GET", r.url+"/events", "evil.example", ""); got != http.StatusMisdirectedRequest {
		t.Errorf("events for another host: %d", got)
	}
	for range time.Tick(10 * time.Millisecond) {
		if text := r.log.String(); strings.Contains(text, "stands still") {
			break
		}
	}
	if no := MustGet[refusal](t, r, "/readyz", http.StatusServiceUnavailable); len(no.Links) != 5 || !strings.Contains(no.Detail, "topics are not being read") {
		t.Errorf("not ready: %+v", no)
	} else if l := no.Links[0]; l.Direction != "in" || l.State != "standing" || l.Error == "" {
		t.Errorf("a link is shown as %+v", l)
	}
	p.MustKafka(t)
	p.MustFront(t)
	p.MustBack(t)
	order := p.MustPlace(t)
	p.MustEnd(t, order)
	id := order[strings.LastIndex(order, "/")+1:]

	wantAllSeen(t, r)
	flows := MustGet[[]journal.Flow](t, r, "/flows/"+id, http.StatusOK)
	if len(flows) != 1 || len(flows[0].Events) < 5 || flows[0].Events[0].Type != "order.placed" {
		t.Errorf("flows %+v", flows)
	}
	wantOutput(t, MustRunCommand(t, newTraceCmd, id, "--journal", path), 0, "payment/charge  done", "notification/tell-")
	if events := MustGet[[]journal.EventRecord](t, r, "/events?type=order.placed&type=inventory.reserved&key="+id+"&after=0&limit=1", http.StatusOK); len(events) != 1 {
		t.Errorf("events %+v", events)
	}
	if events := MustGet[[]journal.EventRecord](t, r, "/events?type=order.returned", http.StatusOK); events == nil || len(events) != 0 {
		t.Errorf("events %+v", events)
	}
	MustGet[refusal](t, r, "/events?after=-1", http.StatusBadRequest)
	MustGet[refusal](t, r, "/events?limit=x", http.StatusBadRequest)
	MustGet[refusal](t, r, "/flows/nobody", http.StatusNotFound)
	if ready := MustGet[map[string]any](t, r, "/readyz", http.StatusOK); ready["status"] != "ready" {
		t.Errorf("ready: %v", ready)
	}
	r.MustStopInTrouble(t)

	anew := MustStartObserve(t, filepath.Join(p.folder, "anew.db"), transport...)
	wantAllSeen(t, anew)
	again := MustGet[[]journal.Flow](t, anew, "/flows/"+id, http.StatusOK)
	if got, want := outline(&again[0]), outline(&flows[0]); got != want {
		t.Errorf("a new observer sees\n%s\nthe old one saw\n%s", got, want)
	}
	anew.MustStop(t)
	p.front.MustStop(t)
	p.back.MustStop(t)
	wantOutput(t, MustRunCommand(t, newVerifyCmd, "--grace", "0", "--journal", filepath.Join(p.folder, "front.db"), "--journal", filepath.Join(p.folder, "back.db")), 0,
		"books    1 orders", "0 open", "everything adds up")
}

// wantAllSeen waits until the observer has seen an order come to its end, and everything about it.
func wantAllSeen(tb testing.TB, r *running) {
	tb.Helper()
	for range time.Tick(20 * time.Millisecond) {
		v := MustGet[verification](tb, r, "/verify", http.StatusOK)
		if !v.OK {
			tb.Fatalf("verify: %+v\n%s", v.Wrong, r.log)
		}
		if v.Books.Orders == 1 && v.Books.Open == 0 && v.OnTheWay == 0 && !strings.Contains(v.open(), "waiting") {
			return
		}
	}
}

func TestObserveRefuses(t *testing.T) {
	t.Parallel()
	shop := filepath.Join(t.TempDir(), "shop.db")
	r := MustStartRun(t, shop)
	r.MustAsk(t, "GET", "/readyz", "", http.StatusOK)
	r.MustStop(t)
	observe := func(o *options) *cobra.Command { return observeCmd(o, nil) }
	kafka := []string{"--transport", "kafka", "--brokers", "127.0.0.1:1", "--http", "127.0.0.1:0"}
	wantOutput(t, MustRunCommand(t, observe), exitUsage, "nothing to observe without a transport")
	wantOutput(t, MustRunCommand(t, observe, "--transport", "kafka"), exitUsage, "brokers")
	wantOutput(t, MustRunCommand(t, observe, append(kafka, "--journal", shop)...), exitWrong, shop, "journal of a deployable", "name another file")

	path := filepath.Join(t.TempDir(), "observer.db")
	MustStartObserve(t, path, kafka...).MustStopInTrouble(t)
	run := func(o *options) *cobra.Command { return runCmd(o, nil) }
	wantOutput(t, MustRunCommand(t, run, "--journal", path, "--http", "127.0.0.1:0"), exitWrong, "journal of an observer, which runs no modules: name another file")
	wantOutput(t, MustRunCommand(t, run, append(kafka, "--modules", "order", "--journal", path)...), exitWrong, "journal of an observer")
}
