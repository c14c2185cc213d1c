package bus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus"
)

// The metadata of a flow are on all events of the flow: on events that reactions emit after a retry, and on delayed ones.
func TestWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a *app
		var got []string
		a = MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
			m.Emits(asked{}).ForOutside(answered{})
			bus.On(m, "answer", func(ctx context.Context, e asked) (bus.Events, error) {
				if bus.Delivery(ctx).Attempt == 1 {
					return nil, errPlanned
				}
				return bus.Emit(bus.After(time.Hour, answered{e.Key, 1})), nil
			}).Emits(answered{})
			bus.On(m, "hear", func(ctx context.Context, e answered) (bus.Events, error) {
				d := bus.Delivery(ctx)
				got = append(got, d.Metadata("tenant")+" "+d.Metadata("user")+" "+d.Metadata("none"))
				return nil, nil
			})
		})
		ctx := bus.With(bus.With(bus.With(t.Context(), "tenant", "acme"), "user", "eve"), "user", "ann")
		if _, err := a.m.Publish(ctx, asked{"a", 1}); err != nil {
			t.Fatal(err)
		}
		a.publish(t, asked{"b", 1})
		<-time.After(2 * time.Hour)
		a.wait(t)
		slices.Sort(got)
		wantStrings(t, "metadata", got, "  ", "acme ann ")
		wantStrings(t, "rows", a.strings(t, "SELECT coalesce(metadata, '') FROM events WHERE key = 'a' ORDER BY seq"),
			`{"ce_tenant":"acme","ce_user":"ann"}`, `{"ce_tenant":"acme","ce_user":"ann"}`)
	})
}

func TestWithIsChecked(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) { m.Emits(asked{}).ForOutside(asked{}) })
	for _, c := range []struct {
		name, value string
		want        error
	}{
		{"Tenant", "a", bus.ErrBadID}, {"", "a", bus.ErrBadID}, {"tenant_id", "a", bus.ErrBadID},
		{strings.Repeat("a", 21), "a", bus.ErrBadID}, {"id", "a", bus.ErrBadID}, {"hops", "1", bus.ErrBadID},
		{"dataschema", "a", bus.ErrBadID}, {"encryptionkey", "a", bus.ErrBadID}, {"tenant", "a\nb", bus.ErrBadID}, {"tenant", "\xff", bus.ErrBadID},
		{"tenant", strings.Repeat("a", 4097), bus.ErrTooLarge}, {"tenant", "", nil}, {"tenant", strings.Repeat("a", 4000), nil},
	} {
		ctx := bus.With(bus.With(t.Context(), c.name, c.value), "user", "ann")
		if _, err := a.m.Publish(ctx, asked{"a", 1}); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%q %.20q: %v, want %v", c.name, c.value, err, c.want)
		}
	}
}

// BenchmarkWith shows the cost of 100 bytes of metadata: the time of an event with two reactions.
func BenchmarkWith(b *testing.B) {
	for name, value := range map[string]string{"none": "", "100": strings.Repeat("a", 90)} {
		b.Run(name, func(b *testing.B) {
			a := MustRun(b, bus.Config{}, func(m *bus.Module) {
				m.Emits(asked{}).ForOutside(answered{})
				bus.On(m, "answer", func(_ context.Context, e asked) (bus.Events, error) {
					return bus.Emit(answered(e)), nil
				}).Emits(answered{})
				bus.On(m, "hear", func(context.Context, answered) (bus.Events, error) { return nil, nil })
			})
			ctx := bus.With(b.Context(), "tenant", value)
			events := make([]bus.Event, 100)
			for i := range events {
				events[i] = asked{string(rune('a' + i%26)), i}
			}
			b.ResetTimer()
			for i := 0; i < b.N; i += len(events) {
				if _, err := a.m.Publish(ctx, events...); err != nil {
					b.Fatal(err)
				}
			}
			if err := a.Quiet(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
