package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/batch"
	"github.com/troupebus/troupe/transports/sqlite"
)

type added struct {
	Title string
	N     int
}

func (added) EventType() string  { return "book.added" }
func (e added) EventKey() string { return e.Title }

type indexed struct{ Title string }

func (indexed) EventType() string  { return "book.indexed" }
func (e indexed) EventKey() string { return e.Title }

// index is a search index, with the batches that it has seen.
type index struct {
	mu      sync.Mutex
	batches []string
	answer  func(context.Context, []batch.Item[added]) ([]batch.Answer, error)
}

func (x *index) take(ctx context.Context, items []batch.Item[added]) ([]batch.Answer, error) {
	var titles []string
	for _, i := range items {
		titles = append(titles, i.Event.Title)
	}
	slices.Sort(titles)
	x.mu.Lock()
	x.batches = append(x.batches, strings.Join(titles, " "))
	x.mu.Unlock()
	return x.answer(ctx, items)
}

func done(_ context.Context, items []batch.Item[added]) (answers []batch.Answer, err error) {
	for _, i := range items {
		answers = append(answers, batch.Answer{Events: bus.Emit(indexed{i.Event.Title})})
	}
	return answers, nil
}

// run publishes events of these titles, handles them in batches, and returns the answers of the journal.
func run(t *testing.T, x *index, most int, linger time.Duration, titles ...string) (outcomes []string) {
	t.Helper()
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	retry := bus.Retry{First: time.Millisecond, Max: time.Millisecond, Attempts: 3}
	b := bus.New(j, bus.Config{Logger: slog.New(slog.DiscardHandler), ExternalRetry: retry, ExternalTimeout: 2 * time.Second})
	shelf, search := b.Module("shelf").Emits(added{}), b.Module("search").ForOutside(indexed{})
	bus.On(search, "index", batch.Of(most, linger, x.take)).Emits(indexed{}).External(most)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	<-b.Running()
	var events []bus.Event
	for i, title := range titles {
		events = append(events, added{title, i})
	}
	flow, err := shelf.Publish(ctx, events...)
	if err == nil {
		err = b.Quiet(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	flows, err := j.Reader().Flow(ctx, flow)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for _, e := range flows[0].Events {
		keys[e.ID] = e.Key
	}
	for _, e := range flows[0].Events {
		for _, r := range e.Reactions {
			outcomes = append(outcomes, fmt.Sprintf("%s %s/%d", e.Key, r.Outcome, r.Attempts))
		}
		if e.CausationID != "" && keys[e.CausationID] != e.Key {
			t.Errorf("the answer %s has the cause %s", e.Key, keys[e.CausationID])
		}
	}
	slices.Sort(outcomes)
	cancel()
	if err := errors.Join(<-ended, j.Close()); err != nil {
		t.Fatal(err)
	}
	return outcomes
}

// A batch is full at most, and a batch that does not fill ends after linger.
func TestBatches(t *testing.T) {
	t.Parallel()
	x := &index{answer: done}
	want(t, run(t, x, 3, time.Hour, "a", "b", "c", "d", "e", "f"), "a done/1", "b done/1", "c done/1", "d done/1", "e done/1", "f done/1")
	want(t, x.batches, "a b c", "d e f")
	x = &index{answer: done}
	want(t, run(t, x, 9, 300*time.Millisecond, "a", "b", "a"), "a done/1", "a done/1", "b done/1")
	want(t, x.batches, "a b", "a") // one event of a key at a time
}

// Each event has its own answer: only failed events come again.
func TestAnswers(t *testing.T) {
	t.Parallel()
	failing := map[string]int{"b": 1, "c": 99}
	x := &index{answer: func(ctx context.Context, items []batch.Item[added]) ([]batch.Answer, error) {
		answers, err := done(ctx, items)
		for i, item := range items {
			if title := item.Event.Title; failing[title] > 0 {
				failing[title]--
				answers[i] = batch.Answer{Err: errors.New("busy")}
			}
			if title := item.Event.Title; title == "d" {
				answers[i].Err = bus.Drop("not for us")
			}
		}
		return answers, err
	}}
	want(t, run(t, x, 4, 20*time.Millisecond, "a", "b", "c", "d"), "a done/1", "b done/2", "c dead/3", "d dropped/1")
}

// An error, a panic, too few answers, and a call that does not end in time are failures of all events.
func TestBatchFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context) ([]batch.Answer, error){
		"error":   func(context.Context) ([]batch.Answer, error) { return nil, errors.New("away") },
		"panic":   func(context.Context) ([]batch.Answer, error) { panic("oops") },
		"few":     func(context.Context) ([]batch.Answer, error) { return make([]batch.Answer, 1), nil },
		"exit":    func(context.Context) ([]batch.Answer, error) { runtime.Goexit(); return nil, nil },
		"timeout": func(ctx context.Context) ([]batch.Answer, error) { <-ctx.Done(); return nil, ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := true
			x := &index{answer: func(ctx context.Context, items []batch.Item[added]) ([]batch.Answer, error) {
				if first {
					first = false
					return fail(ctx)
				}
				return done(ctx, items)
			}}
			want(t, run(t, x, 2, 300*time.Millisecond, "a", "b"), "a done/2", "b done/2")
		})
	}
}

// The context of an item is the context of its delivery, and the context of the call is of none.
func TestContexts(t *testing.T) {
	t.Parallel()
	var got []string
	x := &index{answer: func(ctx context.Context, items []batch.Item[added]) ([]batch.Answer, error) {
		if d := bus.Delivery(ctx); d.ID != "" {
			t.Errorf("the call belongs to %s", d.ID)
		}
		for _, item := range items {
			d := bus.Delivery(item.Context)
			got = append(got, fmt.Sprint(item.Event.Title, " ", d.Subscription, " ", d.Attempt, " ", strings.HasPrefix(d.ID, "search/index:")))
			if err := bus.Commit(item.Context, func(context.Context) error { return nil }); err != nil {
				t.Errorf("Commit: %v", err)
			}
		}
		return done(ctx, items)
	}}
	run(t, x, 2, 300*time.Millisecond, "a", "b")
	slices.Sort(got)
	want(t, got, "a search/index 1 true", "b search/index 1 true")
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
