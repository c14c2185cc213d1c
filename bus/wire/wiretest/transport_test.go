package wiretest

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupebus/troupe/bus/wire"
)

// brokers is a Carrier of Brokers, one for each prefix.
func brokers() Harness {
	var mu sync.Mutex
	byPrefix := map[string]*Broker{}
	broker := func(prefix string) *Broker {
		mu.Lock()
		defer mu.Unlock()
		if byPrefix[prefix] == nil {
			byPrefix[prefix] = NewBroker()
		}
		return byPrefix[prefix]
	}
	return Harness{
		Open: func(_ testing.TB, group, prefix string, _ Dialer) wire.Transport {
			return broker(prefix).Transport(group)
		},
		Foreign: func(_ testing.TB, m Foreign) error {
			broker(m.Prefix).Write(m.Topic, m.Key, m.Headers, m.Payload)
			return nil
		},
		cut: func(tr wire.Transport, away bool) { tr.(*End).Partition(away) },
	}
}

func TestBrokerKeepsEveryPromise(t *testing.T) {
	t.Parallel()
	Transport(t, brokers())
}

// TestPromisesInVirtualTime checks the Broker in bubbles: each ends only when all goroutines have, and a minute costs nothing.
func TestPromisesInVirtualTime(t *testing.T) {
	t.Parallel()
	for name, harness := range map[string]func(tb testing.TB) Harness{
		"broker":               func(testing.TB) Harness { return brokers() },
		"faulty without fault": func(tb testing.TB) Harness { return faultyBrokers(tb, func(*faulty) {}) },
	} {
		for _, p := range promises {
			t.Run(name+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					if err := p.check(t, harness(t)); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
