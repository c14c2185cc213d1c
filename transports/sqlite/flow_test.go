package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// shape is what of a flow is the same in every run.
func shape(f *journal.Flow) []string {
	lines := []string{f.ID}
	for _, e := range f.Events {
		lines = append(lines, fmt.Sprintf("%d %s", e.Seq, e.Type))
		for _, r := range e.Reactions {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("- %s %s %d %s", r.Subscription, r.Outcome, r.Attempts, r.Error)))
		}
	}
	for _, d := range f.Delayed {
		lines = append(lines, "+ "+d.Type)
	}
	return lines
}

func TestFlow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	hold := make(chan struct{})
	defer close(hold)
	first := MustRun(t, path, func(m *bus.Module) {
		m.ForOutside(answered{})
		bus.On(m, "answer", func(_ context.Context, e asked) (bus.Events, error) {
			return bus.Emit(answered(e), bus.After(time.Hour, answered(e))), nil
		}).Emits(answered{})
		bus.On(m, "skip", func(context.Context, asked) (bus.Events, error) { return nil, nil }).When(func(asked) bool { return false })
		bus.On(m, "fail", func(context.Context, asked) (bus.Events, error) { return nil, errors.New("planned") })
		bus.On(m, "renamed", func(context.Context, asked) (bus.Events, error) { return nil, nil })
	})
	first.publish(t, "f1", asked{"a", 1})
	first.publish(t, "f2", asked{"a", 2}, asked{"b", 2})
	first.stop()
	second := MustRun(t, path, func(m *bus.Module) {
		m.ForOutside(answered{})
		bus.On(m, "new", func(context.Context, asked) (bus.Events, error) { return nil, nil }).FromNow()
		bus.On(m, "old", func(context.Context, asked) (bus.Events, error) { <-hold; return nil, nil }).External(1).FromStart()
		bus.On(m, "answer", func(context.Context, asked) (bus.Events, error) { return nil, nil }).Emits(answered{})
		bus.On(m, "fail", func(context.Context, asked) (bus.Events, error) { return nil, errors.New("planned") })
	})
	r := second.j.Reader()
	f1 := []string{
		"f1", "1 test.asked", "- test/answer done 1", "- test/fail dead 2 planned", "- test/new skipped 0 published before the subscription began",
		"- test/old waiting 0", "- test/renamed done 1", "- test/skip skipped 1", "2 test.answered", "+ test.answered",
	}
	flows, err := r.Flow(t.Context(), "f1")
	if err != nil || len(flows) != 1 {
		t.Fatalf("%d flows, %v", len(flows), err)
	}
	wantSame(t, "by correlation id", shape(flows[0]), f1)
	e := flows[0].Events[0]
	if e.Reactions[0].Started.IsZero() || e.Reactions[0].Duration < 0 || e.Reactions[1].DeadLetter != 1 || e.Reactions[3].Started != (time.Time{}) {
		t.Errorf("reactions are %+v", e.Reactions)
	}
	if flows[0].Delayed[0].CausationID != e.ID || flows[0].Delayed[0].Due.Sub(e.Time) < 50*time.Minute {
		t.Errorf("delayed is %+v", flows[0].Delayed[0])
	}
	for _, id := range []string{flows[0].Events[1].ID, flows[0].Delayed[0].ID} {
		byEvent, err := r.Flow(t.Context(), id)
		if err != nil || len(byEvent) != 1 {
			t.Fatalf("%d flows, %v", len(byEvent), err)
		}
		wantSame(t, "by event id", shape(byEvent[0]), f1)
	}
	byKey, err := r.Flow(t.Context(), "a")
	if err != nil || len(byKey) != 2 || byKey[0].ID != "f1" || byKey[1].ID != "f2" {
		t.Errorf("by key: %v, %v", byKey, err)
	}
	for _, id := range []string{"nothing", ""} {
		if _, err := r.Flow(t.Context(), id); !errors.Is(err, sqlite.ErrNotFound) {
			t.Errorf("flow %q: %v", id, err)
		}
	}
	explained, err := r.Explain(t.Context(), e.ID)
	if err != nil || len(explained) != 1 {
		t.Fatalf("%d events, %v", len(explained), err)
	}
	wantSame(t, "explained", explained[0], e)
	if _, err := r.Explain(t.Context(), "f1"); !errors.Is(err, sqlite.ErrNotFound) {
		t.Errorf("explain no event: %v", err)
	}
}

func TestFlowOfAKeyWithTooManyFlows(t *testing.T) {
	t.Parallel()
	path := MustJournal(t)
	MustExec(t, path, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
		INSERT INTO events (id, type, key, time, correlation_id, data) SELECT 'e' || i, 't', 'k', 0, 'f' || i, x'' FROM n`)
	if _, err := MustRead(t, path).Flow(t.Context(), "k"); !errors.Is(err, sqlite.ErrTooMany) || !strings.Contains(err.Error(), "more than 1000 flows") {
		t.Errorf("error is %v", err)
	}
}

// A flow is read in bounds, however many consequences an event has, and says what it leaves out.
func TestFlowOfManyEvents(t *testing.T) {
	t.Parallel()
	path := MustJournal(t)
	MustExec(t, path, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
		INSERT INTO events (id, type, key, time, correlation_id, causation_id, subscription, data)
		SELECT 'e' || i, 't', 'k' || (i % 7), i, iif(i % 10, 'f', 'g'), iif(i > 1, 'e1', ''), 'm/s', x'' FROM n`)
	MustExec(t, path, `INSERT INTO subscriptions (id, name, kind, types, start_seq, cursor) VALUES (77, 'm/s', 'bus', '["t"]', 0, 60000)`)
	MustExec(t, path, `INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration) SELECT seq, 77, 'done', 1, 0, 0 FROM events`)
	r := MustRead(t, path)
	for id, want := range map[string][2]int64{"f": {10_000, 44_000}, "g": {6000, 0}} {
		flows, err := r.Flow(t.Context(), id)
		if err != nil || len(flows) != 1 {
			t.Fatalf("%d flows, %v", len(flows), err)
		}
		f := flows[0]
		if int64(len(f.Events)) != want[0] || f.Omitted != want[1] || f.Outcomes()[journal.Done] != int(want[0]) {
			t.Errorf("%s: %d events, %d left out, %v", id, len(f.Events), f.Omitted, f.Outcomes())
		}
		if !slices.IsSortedFunc(f.Events, func(a, b journal.FlowEvent) int { return int(a.Seq - b.Seq) }) {
			t.Errorf("%s is not in order", id)
		}
		var tree strings.Builder
		if err := f.WriteTree(&tree, journal.TreeOptions{}); err != nil || strings.Contains(tree.String(), "44000 events more") != (want[1] > 0) {
			t.Errorf("%s: %v, the tree ends with %q", id, err, tree.String()[tree.Len()-100:])
		}
	}
}
