package work

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/kafka"
)

// splits are the splits of the flow into two deployables, by the number of reactions with an event from the other
// deployable.
var splits = map[int]split{
	// like the shop, with order and notification on the same side
	2: {peerModule, peerModule, peerModule, mainModule, mainModule},
	4: {mainModule, peerModule, mainModule, peerModule, mainModule},
}

// newTransport returns the transport of a deployable, with the defaults, except that topics exist already.
func (j Job) newTransport(group string) (*kafka.Transport, error) {
	return kafka.New(kafka.Config{
		Brokers: strings.Split(j.Brokers, ","), Group: j.Prefix + "." + group, Prefix: j.Prefix, NoCreate: true, Logger: silent(),
	})
}

// deployable runs a part of the flow.
type deployable struct {
	program
	transport *kafka.Transport
}

// deploy starts module's part of the flow on the journal at path. The caller closes the deployable.
func (j Job) deploy(ctx context.Context, module, path string) (*deployable, error) {
	s, ok := splits[j.Across]
	if !ok {
		return nil, fmt.Errorf("unknown split with %d reactions across", j.Across)
	}
	t, err := j.newTransport(module)
	if err != nil {
		return nil, err
	}
	d := &deployable{transport: t, program: program{ends: newEnds(j.all())}}
	if err := d.run(ctx, path, bus.Config{Modules: []string{module}, Transport: t}, func() { d.wire(s) }); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return d, nil
}

func (d *deployable) close() error { return errors.Join(d.program.close(), d.transport.Close()) }

// flows publishes l, waits until the last reactions are on disk here and Kafka has all events, and returns the time.
// The other deployable has finished then, too.
func (d *deployable) flows(ctx context.Context, l load) (time.Duration, error) {
	d.ends.expect(l.n)
	started := time.Now()
	if err := l.publish(ctx, nil, d.publish); err != nil {
		return 0, err
	}
	if err := d.end(ctx); err != nil {
		return 0, err
	}
	for d.lag() > 0 {
		if err := stay(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	return time.Since(started), nil
}

// end waits until the expected flows have ended and are on disk.
func (d *deployable) end(ctx context.Context) error {
	if err := d.ends.wait(ctx); err != nil {
		return err
	}
	return d.bus.Quiet(ctx)
}

// lag returns the number of events that the journal has not sent yet.
func (d *deployable) lag() (n int64) {
	for _, l := range d.bus.Links() {
		n += l.Lag
	}
	return n
}

// one runs a single flow, and returns the time until the last reaction is on disk.
func (d *deployable) one(ctx context.Context, n int64) (time.Duration, error) {
	d.ends.expect(1)
	o := newOrder(n)
	started := time.Now()
	if err := d.publish(ctx, o); err != nil {
		return 0, err
	}
	if err := d.end(ctx); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// workSplit measures the deployable that publishes. Flows end there, too.
func workSplit(ctx context.Context, j Job) (Figures, error) {
	return j.workMain(ctx, func(d *deployable) (Figures, error) { return j.timed(ctx, FlowsPerSecond, d.flows) })
}

func workSplitLatency(ctx context.Context, j Job) (Figures, error) {
	return j.workMain(ctx, func(d *deployable) (Figures, error) { return j.latencies(ctx, d.one) })
}

func (j Job) workMain(ctx context.Context, measure func(*deployable) (Figures, error)) (f Figures, err error) {
	d, err := j.deploy(ctx, mainModule, j.Journal)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if f, err = measure(d); err != nil {
		return nil, err
	}
	return f, new(position).expectLeft(ctx, j.Journal, splits[j.Across], mainModule, j.all())
}

// peerJournal returns the path of the other deployable's journal.
func (j Job) peerJournal() string { return filepath.Join(filepath.Dir(j.Journal), "peer.db") }

// workPeer is the other deployable, a service. When the service is stopped, all flows must have passed.
func workPeer(ctx context.Context, j Job) (f Figures, err error) {
	d, err := j.deploy(ctx, peerModule, j.peerJournal())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := j.Announce(ctx, ""); err != nil {
		return nil, err
	}
	if err := d.bus.Quiet(ctx); err != nil {
		return nil, err
	}
	return Figures{}, new(position).expectLeft(ctx, j.peerJournal(), splits[j.Across], peerModule, j.all())
}
