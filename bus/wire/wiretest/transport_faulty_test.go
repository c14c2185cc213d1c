package wiretest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// faulty is a Broker's transport with some of it replaced. With nothing replaced, it keeps every promise.
type faulty struct {
	*End
	features  wire.Features
	publish   func(topic string, messages []*message.Message) error
	subscribe func(ctx context.Context, topic string) (<-chan *message.Message, error)
	deliver   func(ctx context.Context, msg *message.Message, hand func(*message.Message)) // instead of hand(msg)
	shut      func() error
	hasty     bool // Close does not wait

	count   *atomic.Int64   // for all transports of a test
	forever <-chan struct{} // closed when the test is over
	over    chan struct{}   // closed by Close
	once    sync.Once
	running sync.WaitGroup
}

func (f *faulty) Features() wire.Features { return f.features }

func (f *faulty) Publish(topic string, messages ...*message.Message) error {
	return f.publish(topic, messages)
}

func (f *faulty) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := f.subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	hand := func(msg *message.Message) {
		select {
		case out <- msg:
		case <-ctx.Done():
		case <-f.over:
		}
	}
	f.running.Go(func() {
		defer close(out)
		for msg := range in {
			f.deliver(ctx, msg, hand)
		}
	})
	return out, nil
}

func (f *faulty) Close() error {
	f.once.Do(func() { close(f.over) })
	err := f.shut()
	if !f.hasty {
		f.running.Wait()
	}
	return err
}

// faultyBrokers is a Carrier of Brokers, with a fault.
func faultyBrokers(tb testing.TB, fault func(f *faulty)) Harness {
	c := brokers()
	open, count, forever := c.Open, &atomic.Int64{}, make(chan struct{})
	tb.Cleanup(func() { close(forever) })
	c.Open = func(tb testing.TB, group, prefix string, dial Dialer) wire.Transport {
		e := open(tb, group, prefix, dial).(*End)
		f := &faulty{
			End: e, features: wire.Features{Name: "faulty"}, subscribe: e.Subscribe, shut: e.Close,
			count: count, forever: forever, over: make(chan struct{}),
		}
		f.publish = func(topic string, messages []*message.Message) error { return e.Publish(topic, messages...) }
		f.deliver = func(_ context.Context, msg *message.Message, hand func(*message.Message)) { hand(msg) }
		fault(f)
		return f
	}
	c.cut = func(tr wire.Transport, away bool) { tr.(*faulty).Partition(away) }
	return c
}

// TestEveryFaultIsFound holds transports to the promise that they break. Virtual time spares the minute that it takes to say
// that something hangs.
func TestEveryFaultIsFound(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, f := range faults {
		found[f.promise] = true
		t.Run(f.promise+"/"+f.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				err := promiseCalled(t, f.promise).check(t, faultyBrokers(t, f.fault))
				if err == nil || !strings.Contains(err.Error(), f.says) {
					t.Errorf("the promise is broken, and the check says %v; want something with %q", err, f.says)
				}
			})
		})
	}
	for _, p := range promises {
		if !found[p.name] {
			t.Errorf("nothing shows that the check of %q can fail", p.name)
		}
	}
}

func promiseCalled(t *testing.T, name string) promise {
	for _, p := range promises {
		if p.name == name {
			return p
		}
	}
	t.Fatalf("there is no promise called %q", name)
	return promise{}
}
