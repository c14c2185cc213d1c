package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/kafka"
)

// soon is how long anything may take on a machine that is busy with other things.
const soon = 3 * time.Minute

// await waits for what there is no event for.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); stay(20 * time.Millisecond) {
		if time.Since(began) > soon {
			t.Fatalf("waited %v for %s", soon, what)
		}
	}
}

const loadKeys, loadPublishers = 20, 4

// load publishes and reads all the time: publishers with keys of their own, as relays do, and a reader, as an ingest does.
type load struct {
	tr         *kafka.Transport
	over       atomic.Bool // no more is to be published
	publishing sync.WaitGroup
	reading    sync.WaitGroup

	mu       sync.Mutex
	sent     [loadKeys]int // and acknowledged, of each key
	taken    [loadKeys]int // without a gap
	repeats  int
	refusals map[string]int // what Publish and Subscribe said
	wrong    []error
}

// MustLoad begins.
func MustLoad(t *testing.T, tr *kafka.Transport) *load {
	t.Helper()
	l := &load{tr: tr, refusals: map[string]int{}}
	for p := range loadPublishers {
		l.publishing.Go(func() {
			for ; !l.over.Load(); stay(20 * time.Millisecond) {
				for key := p; key < loadKeys && !l.over.Load(); key += loadPublishers {
					l.note(l.publish(key))
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.reading.Go(func() { l.note(l.read(ctx)) })
	t.Cleanup(func() {
		l.over.Store(true)
		cancel()
		l.publishing.Wait()
		l.reading.Wait()
	})
	return l
}

// note keeps what must not be.
func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.wrong = append(l.wrong, err)
	}
}

// refused keeps what somebody is told who has to try again.
func (l *load) refused(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals[err.Error()]++
}

// publish adds five messages to a key: all of them again until they are taken.
func (l *load) publish(key int) error {
	l.mu.Lock()
	msgs := numbered(strconv.Itoa(key), l.sent[key], l.sent[key]+5)
	l.mu.Unlock()
	for began := time.Now(); ; stay(10 * time.Millisecond) {
		err := l.tr.Publish("order", msgs...)
		switch {
		case err == nil:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.sent[key] += len(msgs)
			return nil
		case time.Since(began) > soon || errors.Is(err, kafka.ErrClosed):
			return err
		}
		l.refused(err)
	}
}

// read subscribes again whenever the channel closes.
func (l *load) read(ctx context.Context) error {
	for began := time.Now(); ctx.Err() == nil; stay(10 * time.Millisecond) {
		in, err := l.tr.Subscribe(ctx, "order")
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && time.Since(began) > soon:
			return err
		case err != nil:
			l.refused(err)
			continue
		}
		for m := range in {
			if err := l.take(m); err != nil {
				return err
			}
			began = time.Now()
		}
	}
	return nil
}

// take checks that of a key no message comes for the first time before one that was sent before it.
func (l *load) take(m *message.Message) error {
	if wire.Key(m) == "k" { // of somebody who was refused; some of it may be there all the same
		m.Ack()
		return nil
	}
	key, err := strconv.Atoi(wire.Key(m))
	n, err2 := strconv.Atoi(string(m.Payload))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n > l.taken[key]:
		return fmt.Errorf("%s came before %d-%d", m.UUID, key, l.taken[key])
	case n < l.taken[key]:
		l.repeats++
	default:
		l.taken[key]++
	}
	m.Ack()
	return nil
}

// mustGoOn returns when messages of all keys are taken that are published from now on, with the time that it took.
func (l *load) mustGoOn(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	l.mu.Lock()
	was := l.sent
	l.mu.Unlock()
	await(t, "messages of all keys", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.wrong) > 0 {
			t.Fatal(errors.Join(l.wrong...))
		}
		for key := range was {
			if l.taken[key] < was[key]+10 { // 5 were under way
				return false
			}
		}
		return true
	})
	return time.Since(began).Round(time.Millisecond)
}

// mustEnd publishes no more, and returns when everything that was published is taken.
func (l *load) mustEnd(t *testing.T) {
	t.Helper()
	l.over.Store(true)
	l.publishing.Wait()
	await(t, "what was published", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.wrong) > 0 {
			t.Fatal(errors.Join(l.wrong...))
		}
		return slices.Equal(l.taken[:], l.sent[:])
	})
	total := 0
	for _, n := range l.sent {
		total += n
	}
	t.Logf("%d messages; %d more came again", total, l.repeats)
}

// mustHaveSaid checks that whoever was refused was told what to do, with one of texts, and returns how often.
func (l *load) mustHaveSaid(t *testing.T, texts ...string) (times int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for said, n := range l.refusals {
		times += n
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(said, text) }) {
			t.Errorf("%d times somebody was told: %s", n, said)
		}
	}
	clear(l.refusals)
	return times
}
