package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/sqlite"
)

// This file measures the relay and the ingest alone, and also single publishes. File send.go measures sarama.

// makeEvents returns n events of flows as the bus writes them, from event number first on.
func makeEvents(first, n int64) ([]*journal.Event, error) {
	events := make([]*journal.Event, n)
	now := time.Now().UTC().Truncate(time.Microsecond)
	for i := range events {
		at := first + int64(i)
		flow, step := at/int64(len(bareSteps)), at%int64(len(bareSteps))
		o := newOrder(flow)
		data, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		e := &journal.Event{
			ID: bareID(at + 1), Type: bareSteps[step].eventType, Version: 1, Source: mainModule, Key: o.OrderID, Time: now,
			CorrelationID: bareID(at - step + 1), Subscription: bareSteps[step].subscription, Hops: int(step), Data: data,
		}
		if step > 0 {
			e.CausationID = bareID(at)
		}
		events[i] = e
	}
	return events, nil
}

// meter measures the rate of a count that grows in steps. The time begins at the first step after the warm-up. If the
// count reaches its end in a single step, the warm-up counts, too.
type meter struct {
	warm, all int64
	from      int64 // count at started
	started   time.Time
	rate      chan float64 // capacity 1; gets the rate at the end
}

func (j Job) newMeter() *meter {
	return &meter{warm: j.warmUp().n, all: j.all(), rate: make(chan float64, 1)}
}

// at takes the present count, until the count is complete. Calls must not overlap.
func (m *meter) at(n int64) {
	switch {
	case n >= m.all:
		m.rate <- float64(n-m.from) / time.Since(m.started).Seconds()
	case n >= m.warm && m.from == 0:
		m.from, m.started = n, time.Now()
	}
}

// of returns the rate when run has completed the count. It cancels run, and fails when run returns earlier.
func (m *meter) of(ctx context.Context, run func(context.Context) error) (Figures, error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	m.started = time.Now()
	go func() { ended <- run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case rate := <-m.rate:
		return Figures{EventsPerSecond: rate}, nil
	case err := <-ended:
		ended <- nil
		return nil, errors.Join(errors.New("ended too early"), err)
	}
}

// open opens the journal of j, with the defaults.
func (j Job) open(ctx context.Context) (*sqlite.Journal, error) {
	return sqlite.Open(ctx, j.Journal, sqlite.Config{Logger: silent()})
}

// take writes events as the bus writes events that an ingest delivers.
func take(ctx context.Context, to *sqlite.Journal, events []*journal.Event) error {
	return to.Do(ctx, journal.Work{Name: "bench"}, func(journal.TxFunc) ([]*journal.Event, error) { return events, nil })
}

// countedFeed reports the position of sent events to a meter.
type countedFeed struct {
	journal.Feed
	passed func(seq int64)
}

// Passed implements journal.Feed.
func (f countedFeed) Passed(seq int64) {
	f.Feed.Passed(seq)
	f.passed(seq)
}

func workRelay(ctx context.Context, j Job) (f Figures, err error) {
	source, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	feed, err := source.Feed(ctx, journal.FeedEvents)
	if err != nil {
		return nil, err
	}
	for first := int64(0); first < j.all(); first += 1000 {
		events, err := makeEvents(first, min(1000, j.all()-first))
		if err != nil {
			return nil, err
		}
		if err := take(ctx, source, events); err != nil {
			return nil, fmt.Errorf("fill the journal: %w", err)
		}
	}
	transport, err := j.newTransport(mainModule)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, transport.Close()) }()
	m := j.newMeter()
	relay := wire.NewRelay(wire.RelayConfig{
		Feed: countedFeed{feed, m.at}, Publisher: transport, Name: "events", Logger: silent(),
		Topic: func(e *journal.Event) string { return e.Source },
	})
	if f, err = m.of(ctx, relay.Run); err != nil {
		return nil, err
	}
	return f, j.expectRecords()
}

func workIngest(ctx context.Context, j Job) (f Figures, err error) {
	if err := j.fill(ctx); err != nil {
		return nil, fmt.Errorf("fill the topic: %w", err)
	}
	into, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	transport, err := j.newTransport(mainModule)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, transport.Close()) }()
	m, taken := j.newMeter(), int64(0)
	ingest := wire.NewIngest(wire.IngestConfig{
		Topic: mainModule, Subscriber: transport, Logger: silent(),
		Take: func(ctx context.Context, events []*journal.Event) error {
			err := take(ctx, into, events)
			if err == nil {
				taken += int64(len(events))
				m.at(taken)
			}
			return err
		},
	})
	if f, err = m.of(ctx, ingest.Run); err != nil {
		return nil, err
	}
	return f, j.expectEvents(ctx)
}

// workPublish measures single events without reactions. Each event is on disk when Publish returns.
func workPublish(ctx context.Context, j Job) (f Figures, err error) {
	var p program
	err = p.run(ctx, j.Journal, bus.Config{}, func() {
		p.module = p.bus.Module(mainModule).Emits(placed{}).ForOutside(placed{})
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	f, err = j.timed(ctx, EventsPerSecond, func(ctx context.Context, l load) (time.Duration, error) {
		started := time.Now()
		err := l.publish(ctx, nil, func(ctx context.Context, o order) error { return p.publish(ctx, o) })
		return time.Since(started), err
	})
	if err != nil {
		return nil, err
	}
	return f, j.expectEvents(ctx)
}
