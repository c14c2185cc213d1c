package bus_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// What a subscription FromNow would not have got in one process it does not get from elsewhere, however late its topic is read.
func TestFromNowOfAnotherDeployable(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	here := MustRunPart(t, broker, "test")
	here.publish(t, asked{"old", 1})
	until(t, "it is sent", func() bool { return here.Links()[0].Lag == 0 })
	carrier := broker.Transport("other")
	t.Cleanup(func() { _ = carrier.Close() })
	there := MustStart(t, filepath.Join(t.TempDir(), "other.db"), bus.Config{Modules: []string{"other"}, Transport: carrier, Retry: fast}, func(b *bus.Bus) *bus.Module {
		test, other := wirePart(b)
		bus.On(other, "new", func(context.Context, asked) (bus.Events, error) { return nil, nil }).FromNow()
		return test
	})
	until(t, "it is answered", func() bool { return len(here.seen(t, "note")) == 1 })
	here.publish(t, asked{"new", 2})
	until(t, "both are answered", func() bool { return len(here.seen(t, "note")) == 2 })
	there.wait(t)
	wantStrings(t, "answers", there.strings(t, `
SELECT e.key || ' ' || d.outcome || ' ' || coalesce(d.error, '') FROM deliveries d JOIN events e ON e.seq = d.seq JOIN subscriptions s ON s.id = d.subscription
WHERE s.name = 'other/new' ORDER BY d.seq`), "old skipped published before the subscription began", "new done ")
}

// A subscription FromNow gets what came while it did not run: in an older program, or in another deployable.
func TestFromNowGetsWhatCameWhileItDidNotRun(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	wire := func(b *bus.Bus, withNew bool) (test *bus.Module) {
		test = b.Module("test").Emits(asked{}, orphan{}).ForOutside(asked{})
		other := b.Module("other")
		bus.On(other, "old", func(context.Context, orphan) (bus.Events, error) { return nil, nil })
		if withNew {
			bus.On(other, "new", func(context.Context, asked) (bus.Events, error) { return nil, nil }).FromNow()
		}
		return test
	}
	source := broker.Transport("test")
	t.Cleanup(func() { _ = source.Close() })
	here := MustStart(t, filepath.Join(t.TempDir(), "test.db"), bus.Config{Modules: []string{"test"}, Transport: source},
		func(b *bus.Bus) *bus.Module { return wire(b, true) })
	path := filepath.Join(t.TempDir(), "other.db")
	answers := func(there *app) []string {
		return there.strings(t, `
SELECT s.name || ' ' || d.outcome FROM deliveries d JOIN subscriptions s ON s.id = d.subscription WHERE s.name LIKE 'other/%' ORDER BY s.name, d.seq`)
	}
	here.publish(t, asked{"", 1})
	for _, step := range []struct {
		withNew bool
		publish []bus.Event
		want    []string // answers, at the end
	}{
		{true, []bus.Event{orphan{}}, []string{"other/new skipped", "other/old done"}},
		{false, []bus.Event{asked{"", 2}, orphan{}}, []string{"other/new skipped", "other/old done", "other/old done"}},
		{true, nil, []string{"other/new skipped", "other/new done", "other/old done", "other/old done"}},
	} {
		carrier := broker.Transport("other")
		there := MustStart(t, path, bus.Config{Modules: []string{"other"}, Transport: carrier}, func(b *bus.Bus) *bus.Module { return wire(b, step.withNew) })
		if len(step.publish) > 0 {
			here.publish(t, step.publish...)
		}
		until(t, strings.Join(step.want, ", "), func() bool { return len(answers(there)) >= len(step.want) })
		wantStrings(t, "answers", answers(there), step.want...)
		there.stop()
		if err := carrier.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
