package bustest

import (
	"context"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Between is sys with something between each deployable and the run's own Broker: wrap is called whenever a process starts, with
// what is the same for all processes of a run, and nothing else.
func Between[S any](sys System[S], wrap func(run any, inner bus.Transport) bus.Transport) System[S] {
	sys.between = func(l *life, inner bus.Transport) bus.Transport { return wrap(l.core, inner) }
	return sys
}

// Traffic counts, over many runs, what the deaths of processes do to what goes between them.
type Traffic struct {
	mu   sync.Mutex
	runs map[*core]*traffic

	Sent       int // events that were sent at all
	Taken      int // events that were delivered at all
	SentLate   int // that were on disk when a process died, and were first sent by the next one
	SentAgain  int // that the broker had when a process died, and that the next one sent again
	TakenAgain int // that were on disk when a process died, and that the next one was given again
}

// traffic is that of one run.
type traffic struct {
	sent  map[string]bool // by id
	given map[string]bool // by deployable and place
}

// Watch is sys with its traffic counted.
func Watch[S any](sys System[S], t *Traffic) System[S] {
	t.runs = map[*core]*traffic{}
	sys.between = func(l *life, inner bus.Transport) bus.Transport {
		t.mu.Lock()
		defer t.mu.Unlock()
		run := t.runs[l.core]
		if run == nil {
			run = &traffic{sent: map[string]bool{}, given: map[string]bool{}}
			t.runs[l.core] = run
		}
		w := &watched{Transport: inner, all: t, run: run, name: l.deployable.name, had: map[string]bool{}}
		err := l.Store.Events(l.core.ctx, 0, func(e *journal.Event) error {
			w.had[e.ID] = true
			return nil
		})
		if err != nil {
			panic(err)
		}
		return w
	}
	return sys
}

// watched is the transport of one process.
type watched struct {
	bus.Transport
	all  *Traffic
	run  *traffic
	name string
	had  map[string]bool // by id: on disk when it started
}

// Publish implements message.Publisher.
func (w *watched) Publish(topic string, messages ...*message.Message) error {
	if err := w.Transport.Publish(topic, messages...); err != nil || topic == wire.RecordsTopic {
		return err
	}
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	for _, msg := range messages {
		id := decoded(msg).ID
		switch {
		case !w.run.sent[id] && w.had[id]:
			w.all.SentLate++
		case w.had[id]:
			w.all.SentAgain++
		}
		w.run.sent[id] = true
		w.all.Sent++
	}
	return nil
}

// Subscribe implements message.Subscriber.
func (w *watched) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return Through(w.Transport, ctx, topic, func(msg *message.Message) *message.Message {
		w.all.mu.Lock()
		defer w.all.mu.Unlock()
		place := w.name + " " + msg.Metadata[wire.MetaPosition]
		if w.run.given[place] && w.had[decoded(msg).ID] {
			w.all.TakenAgain++
		}
		w.run.given[place] = true
		w.all.Taken++
		return msg
	})
}

// Through subscribes to inner, and passes on what see makes of each message.
func Through(inner bus.Transport, ctx context.Context, topic string, see func(*message.Message) *message.Message) (<-chan *message.Message, error) {
	in, err := inner.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for msg := range in {
			out <- see(msg)
		}
	}()
	return out, nil
}

// SearchAll is Explore that returns what it found.
func SearchAll[S any](t *testing.T, sys System[S], x Exploration, scenario func(app *App[S])) Found {
	return search(t, sys, x, mostStories, scenario)
}
