package bus_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/wiretest"
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
	broker := wiretest.NewBroker()
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
	broker := wiretest.NewBroker()
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

// claimed is a transport that tells processes apart which only send: from the second time on, another one has taken over.
type claimed struct {
	bus.Transport
	times atomic.Int32
}

func (c *claimed) Features() wire.Features {
	f := c.Transport.Features()
	f.Claim = func(_ context.Context, topic string, m journal.Memory) error {
		if c.times.Add(1) == 1 {
			return nil
		}
		return fmt.Errorf("%w: %s of %s", wire.ErrReplaced, topic, m.ID())
	}
	f.Warnings = func() map[string]string { return map[string]string{wire.RecordsTopic: "beware"} }
	return f
}

// A process that only sends stops, too, when another one sends for a copy of its journal; what may go wrong with a topic is with its link.
func TestTheOlderOfTwoSendersStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, olderSender)
}

func olderSender(t *testing.T) {
	carrier := wiretest.NewBroker().Transport("test")
	t.Cleanup(func() { _ = carrier.Close() })
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), sqlite.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	c := &claimed{Transport: carrier}
	b := bus.New(j, bus.Config{Modules: []string{"test"}, Logger: quiet, Transport: c, Retry: fast})
	b.Module("test").Migrations(tables).Emits(asked{}).ForOutside(asked{})
	if err := b.Run(t.Context()); !errors.Is(err, wire.ErrReplaced) || !strings.Contains(err.Error(), j.Memory().ID()) {
		t.Errorf("it runs until %v, want ErrReplaced", err)
	}
	if n := c.times.Load(); n != 2 {
		t.Errorf("it claims %d times, want 2", n)
	}
	for _, l := range b.Links() {
		if want := map[string]string{wire.RecordsTopic: "beware"}[l.Topic]; l.Warning != want {
			t.Errorf("the link of %s warns %q, want %q", l.Topic, l.Warning, want)
		}
	}
}
