package front

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

func TestFlow(t *testing.T) {
	t.Parallel()
	c := MustClinic(t, false, nil, nil)
	c.visit(t, "monday", "ada")
	c.visit(t, "tuesday", "ada")
	c.visit(t, "wednesday", "bob")
	flows, h := MustGet[[]journal.Flow](t, c, "/-/flows/monday?wait=30s", http.StatusOK)
	if len(flows) != 1 || flows[0].ID != "monday" || len(flows[0].Events) != 2 || flows[0].Events[1].Reactions[0].Outcome != journal.Done {
		t.Errorf("one flow: %+v", flows)
	}
	if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", h)
	}
	if flows, _ := MustGet[[]journal.Flow](t, c, "/-/flows/ada?wait=30s", http.StatusOK); len(flows) != 2 || len(flows[0].Events)+len(flows[1].Events) != 4 {
		t.Errorf("all flows of a key: %+v", flows)
	}
	if flows, _ := MustGet[[]journal.Flow](t, c, "/-/flows/"+flows[0].Events[0].ID, http.StatusOK); len(flows) != 1 || flows[0].ID != "monday" {
		t.Errorf("the flow of an event: %+v", flows)
	}
	for _, path := range []string{"/-/flows/nobody", "/-/flows/nobody?wait=0s", "/-/flows/nobody?wait=10ms", "/-/flows/nobody/events"} {
		p, h := MustGet[problem](t, c, path, http.StatusNotFound)
		if p.Type != typed("flow-not-found") || p.Status != http.StatusNotFound || !strings.Contains(p.Detail, `"nobody"`) || h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %+v %v", path, p, h)
		}
	}
	for _, wait := range []string{"61s", "1h", "-1s", "soon", ""} {
		if p, _ := MustGet[problem](t, c, "/-/flows/monday?wait="+wait, http.StatusBadRequest); !strings.Contains(p.Detail, "from 0s to 1m0s") {
			t.Errorf("wait %q: %+v", wait, p)
		}
	}
	if answer := c.do(t, "POST", "/-/flows/monday"); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", answer.Status)
	}
}

// waits asks for path, and returns a channel that gets the flows of the answer.
func (c *clinic) waits(t *testing.T, path string) <-chan []journal.Flow {
	t.Helper()
	got := make(chan []journal.Flow, 1)
	go func() {
		flows, _ := MustGet[[]journal.Flow](t, c, path, http.StatusOK)
		got <- flows
	}()
	return got
}

// The last answer of a flow emits nothing, so that no event tells of it: the wait ends all the same. Before, it does
// not end.
func TestWaitUntilAtRest(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"monday", "ada"} { // the id of the flow, and a key
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			c := MustClinic(t, true, nil, nil)
			c.visit(t, "monday", "ada")
			got := c.waits(t, "/-/flows/"+id+"?wait=1m")
			c.awaitWatchers(t, id, 1)
			close(c.open)
			for range time.Tick(5 * time.Millisecond) { // until only the note is open
				flows, _ := MustGet[[]journal.Flow](t, c, "/-/flows/monday", http.StatusOK)
				if len(flows[0].Events) == 2 {
					break
				}
			}
			select {
			case flows := <-got:
				t.Fatalf("the wait ended while the flow was under way: %+v", flows)
			default:
			}
			close(c.noted)
			if flows := <-got; len(flows) != 1 || len(flows[0].Events) != 2 || flows[0].Events[1].Reactions[0].Outcome != journal.Done {
				t.Errorf("at rest: %+v", flows)
			}
		})
	}
}

func TestWaitForAFlowThatIsStillToCome(t *testing.T) {
	t.Parallel()
	c := MustClinic(t, false, nil, nil)
	got := c.waits(t, "/-/flows/later?wait=1m")
	c.awaitWatchers(t, "later", 1)
	c.visit(t, "later", "ada")
	if flows := <-got; len(flows) != 1 || len(flows[0].Events) != 2 {
		t.Errorf("flows %+v", flows)
	}
}

// A wait that is over is answered with the flow as it is.
func TestWaitThatIsOver(t *testing.T) {
	t.Parallel()
	c := MustClinic(t, true, nil, nil)
	c.visit(t, "monday", "ada")
	if flows := <-c.waits(t, "/-/flows/monday?wait=50ms"); len(flows) != 1 || len(flows[0].Events) != 1 {
		t.Errorf("flows %+v", flows)
	}
	close(c.open)
	close(c.noted)
}

func TestStopEndsWaitsAndStreams(t *testing.T) {
	t.Parallel()
	c := MustClinic(t, true, nil, func(cfg *Config) { cfg.ShutdownTimeout = time.Minute })
	c.visit(t, "monday", "ada")
	stream := c.do(t, "GET", "/-/flows/monday/events")
	got := c.waits(t, "/-/flows/monday?wait=1m")
	c.awaitWatchers(t, "monday", 2)
	began := time.Now()
	c.stop()
	if flows := <-got; len(flows) != 1 || len(flows[0].Events) != 1 {
		t.Errorf("the wait is answered with %+v", flows)
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream does not end cleanly: %v", err)
	}
	if err := <-c.served; err != nil || time.Since(began) > 20*time.Second {
		t.Errorf("Serve returned %v after %v", err, time.Since(began))
	}
	c.served <- nil
	close(c.open)
	close(c.noted)
}

// Waits and streams leave connections to all others.
func TestTooManyAreHeld(t *testing.T) {
	t.Parallel()
	c := MustClinic(t, true, nil, func(cfg *Config) { cfg.MaxHeld = 1 })
	c.visit(t, "monday", "ada")
	stream := c.do(t, "GET", "/-/flows/monday/events")
	c.awaitWatchers(t, "monday", 1)
	for _, path := range []string{"/-/flows/monday?wait=1s", "/-/flows/monday/events"} {
		p, h := MustGet[problem](t, c, path, http.StatusServiceUnavailable)
		if p.Type != typed("unavailable") || !strings.Contains(p.Detail, "1, which is the most") || h.Get("Retry-After") != "1" {
			t.Errorf("%s: %+v %v", path, p, h)
		}
	}
	MustGet[[]journal.Flow](t, c, "/-/flows/monday", http.StatusOK)
	if err := stream.Body.Close(); err != nil {
		t.Fatal(err)
	}
	c.awaitWatchers(t, "monday", 0)
	for range time.Tick(time.Millisecond) { // its place is free a moment after nobody watches
		if answer := c.do(t, "GET", "/-/flows/monday?wait=1ms"); answer.StatusCode == http.StatusOK {
			break
		}
	}
	close(c.open)
	close(c.noted)
}
