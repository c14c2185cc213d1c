package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/journal"
)

// MustStartObserve starts observe on a free port.
func MustStartObserve(tb testing.TB, path string, more ...string) *running {
	tb.Helper()
	log := &syncedLog{}
	out, stop, ended := start(tb, log, append([]string{"observe", "--json", "--journal", path, "--http", "127.0.0.1:0"}, more...)...)
	r := &running{stop: stop, ended: ended, log: log}
	var said struct{ URL, Journal string }
	if err := json.NewDecoder(out).Decode(&said); err != nil || said.Journal != path {
		tb.Fatalf("announced %+v, %v\n%s", said, err, r.log)
	}
	r.url = said.URL
	return r
}

// MustGet requests path, expects the status want, and returns the answer as a T.
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

// refusal is an answer with an error.
type refusal struct {
	Detail string
	Links  []struct{ Direction, State, Error string }
}

// outline returns a flow as a tree, without the parts that differ from run to run: ids, times, and the order of the
// effects of one cause.
func outline(f *journal.Flow) string {
	var below func(cause, subscription, indent string) string
	below = func(cause, subscription, indent string) string {
		var branches []string
		for _, e := range f.Events {
			if e.CausationID != cause || e.Subscription != subscription {
				continue
			}
			b := fmt.Sprintf("%s%s %s %s\n", indent, e.Type, e.Key, e.Data)
			for _, r := range e.Reactions {
				b += fmt.Sprintf("%s  %s %s, %d attempts, %q\n", indent, r.Subscription, r.Outcome, r.Attempts, r.Error)
				b += below(e.ID, r.Subscription, indent+"    ")
			}
			branches = append(branches, b)
		}
		slices.Sort(branches)
		return strings.Join(branches, "")
	}
	return below("", "", "")
}

// Two deployables over Kafka, and an observer: over HTTP, on the journal, and once more from the start.
func TestObserve(t *testing.T) {
	t.Parallel()
	p := MustParts(t)
	path := filepath.Join(p.folder, "observer.db")
	transport := []string{"--transport", "kafka", "--brokers", fmt.Sprintf("127.0.0.1:%d", p.port)}
	r := MustStartObserve(t, path, transport...) // before the deployables exist
	MustGet[map[string]any](t, r, "/healthz", http.StatusOK)
	if got := mustStatus(t, "GET", r.url+"/events", "evil.example", ""); got != http.StatusMisdirectedRequest {
		t.Errorf("events for another host: %d", got)
	}
	for range time.Tick(10 * time.Millisecond) {
		if text := r.log.String(); strings.Contains(text, "failed, retrying") {
			break
		}
	}
	if no := MustGet[refusal](t, r, "/readyz", http.StatusServiceUnavailable); len(no.Links) != 5 || !strings.Contains(no.Detail, "topics are not being read") {
		t.Errorf("not ready: %+v", no)
	} else if l := no.Links[0]; l.Direction != "in" || l.State != "standing" || l.Error == "" {
		t.Errorf("a link is shown as %+v", l)
	}
	if v := MustGet[verification](t, r, "/verify", http.StatusOK); len(v.Unread) == 0 || v.Settled {
		t.Errorf("the audit says %+v of topics that nobody reads", v)
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
	wantOutput(t, MustRunCommand(t, "trace", id, "--journal", path), 0, "payment/charge  done", "notification/tell-")
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
	wantOutput(t, MustRunCommand(t, "verify", "--grace", "0", "--journal", filepath.Join(p.folder, "front.db"), "--journal", filepath.Join(p.folder, "back.db")), 0,
		"books    1 orders", "0 open", "everything adds up")
}

// wantAllSeen waits until the observer reads every topic, and has seen the end of an order, and all its events and records.
func wantAllSeen(tb testing.TB, r *running) {
	tb.Helper()
	for range time.Tick(20 * time.Millisecond) {
		v := MustGet[verification](tb, r, "/verify", http.StatusOK)
		if !v.OK {
			tb.Fatalf("verify: %+v\n%s", v.Wrong, r.log)
		}
		if v.Books.Orders == 1 && v.Books.Open == 0 && v.OnTheWay == 0 && v.waiting() == 0 && len(v.Unread) == 0 {
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
	kafka := []string{"--transport", "kafka", "--brokers", "127.0.0.1:1", "--http", "127.0.0.1:0"}
	wantOutput(t, MustRunCommand(t, "observe"), exitUsage, "nothing to observe without a transport")
	wantOutput(t, MustRunCommand(t, "observe", "--transport", "kafka"), exitUsage, "brokers")
	wantOutput(t, MustRunCommand(t, "observe", append(kafka, "--journal", shop)...), exitWrong, shop, "journal of a deployable", "name another file")

	path := filepath.Join(t.TempDir(), "observer.db")
	MustStartObserve(t, path, kafka...).MustStopInTrouble(t)
	wantOutput(t, MustRunCommand(t, "run", "--journal", path, "--http", "127.0.0.1:0"), exitWrong, "journal of an observer, which runs no modules: name another file")
	wantOutput(t, MustRunCommand(t, "run", append(kafka, "--modules", "order", "--journal", path)...), exitWrong, "journal of an observer")

	csv := MustWriteCSV(t, "3000,A,1,1.00")
	for name, args := range map[string][]string{"demo": {"--orders", "1"}, "import": {csv}} {
		ran := MustRunCommand(t, name, append(args, "--journal", path)...)
		wantOutput(t, ran, exitWrong, name+": ", "the journal of an observer, which runs no")
	}
}

// TestObserveMakesNoTopics: an observer with a wrong prefix creates no topics on the cluster, and reports the missing
// topics.
func TestObserveMakesNoTopics(t *testing.T) {
	t.Parallel()
	p := MustParts(t)
	p.MustKafka(t)
	broker := fmt.Sprintf("127.0.0.1:%d", p.port)
	r := MustStartObserve(t, filepath.Join(p.folder, "observer.db"), "--transport", "kafka", "--brokers", broker, "--prefix", "clinic")
	for range time.Tick(10 * time.Millisecond) {
		if strings.Count(r.log.String(), "does not exist") >= 5 {
			break
		}
	}
	if no := MustGet[refusal](t, r, "/readyz", http.StatusServiceUnavailable); len(no.Links) != 5 || !strings.Contains(no.Links[0].Error, "does not exist") {
		t.Errorf("not ready: %+v", no)
	}
	client, err := sarama.NewClient([]string{broker}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if topics, err := client.Topics(); err != nil || slices.ContainsFunc(topics, func(name string) bool { return strings.HasPrefix(name, "clinic") }) {
		t.Errorf("topics %q, %v", topics, err)
	}
}
