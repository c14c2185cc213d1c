package bus_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/sqlite"
)

// shut is a transport that one topic cannot be written on, until it is opened.
type shut struct {
	bus.Transport
	topic string
	open  atomic.Bool
}

func (s *shut) Publish(topic string, msgs ...*message.Message) error {
	if topic == s.topic && !s.open.Load() {
		return errors.New("not allowed to write: grant WRITE")
	}
	return s.Transport.Publish(topic, msgs...)
}

// A topic that cannot be written holds up no other, says so in its link, and gets what it missed, in order.
func TestATopicThatCannotBeWrittenHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	broker := bustest.NewBroker()
	s := &shut{Transport: broker.Transport("all"), topic: "test"}
	t.Cleanup(func() { _ = s.Close() })
	here := MustStart(t, filepath.Join(t.TempDir(), "all.db"), bus.Config{Transport: s, Retry: fast}, func(b *bus.Bus) *bus.Module { m, _ := wirePart(b); return m })
	watch := broker.Transport("watch")
	t.Cleanup(func() { _ = watch.Close() })
	next := func(topic string) func() string {
		in, err := watch.Subscribe(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		return func() string {
			msg := <-in
			msg.Ack()
			return string(msg.Payload)
		}
	}
	asks, answers := next("test"), next("other")
	for n := range 3 {
		here.publish(t, asked{"a", n})
	}
	for range 3 {
		if got := answers(); !strings.Contains(got, `"key":"a"`) {
			t.Errorf("the other topic has %s", got)
		}
	}
	until(t, "the link says so", func() bool {
		for _, l := range here.Links() {
			if l.Topic == "test" && l.Out && l.Err != nil && strings.Contains(l.Err.Error(), "grant WRITE") {
				return true
			}
		}
		return false
	})
	for _, l := range here.Links() {
		if l.Topic != "test" && l.Err != nil {
			t.Errorf("the link of %s says %v", l.Topic, l.Err)
		}
	}
	s.open.Store(true)
	for n := range 3 {
		if got, want := asks(), []string{"0", "1", "2"}[n]; !strings.Contains(got, want) {
			t.Errorf("the topic gets %s, want number %s", got, want)
		}
	}
}

// taken is a transport that another process has taken over.
type taken struct{ bus.Transport }

func (taken) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	return nil, wire.ErrReplaced
}

// A process whose journal is read under its name by another one, which is newer, stops.
func TestTheOlderOfTwoProcessesStops(t *testing.T) {
	t.Parallel()
	broker := bustest.NewBroker()
	carrier := broker.Transport("test")
	t.Cleanup(func() { _ = carrier.Close() })
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), sqlite.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	b := bus.New(j, bus.Config{Modules: []string{"test"}, Logger: quiet, Transport: taken{carrier}, Retry: fast})
	wirePart(b)
	if err := b.Run(t.Context()); !errors.Is(err, wire.ErrReplaced) {
		t.Errorf("it runs until %v, want ErrReplaced", err)
	}
}
