package bus_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
)

// Every attempt of a handler has the same ids and time, whatever it calls in between, and no id twice.
func TestIDsOfAnExternalHandler(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var attempts [][]string
	a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
		m.Emits(asked{}).ForOutside(answered{})
		bus.On(m, "call", func(ctx context.Context, e asked) (bus.Events, error) {
			got := []string{fmt.Sprint(bus.Now(ctx), bus.Delivery(ctx).Time), bus.NewID(ctx)}
			err := bus.Commit(ctx, func(ctx context.Context) error {
				got = append(got, fmt.Sprint(bus.Now(ctx)), bus.NewID(ctx)) //troupe:allow rerun no group is repeated here
				return nil
			})
			if err != nil {
				return nil, err
			}
			got = append(got, bus.NewID(ctx))
			return bus.Emit(answered(e)).Also(func(ctx context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				//troupe:allow rerun the test counts the attempts
				if attempts = append(attempts, append(got, bus.NewID(ctx))); len(attempts) < 3 {
					return errPlanned
				}
				return nil
			}), nil
		}).Emits(answered{}).External(1)
	})
	a.publish(t, asked{"a", 1})
	if len(attempts) != 3 || !slices.Equal(attempts[0], attempts[1]) || !slices.Equal(attempts[0], attempts[2]) {
		t.Fatalf("the attempts have %q", attempts)
	}
	ids := []string{attempts[0][1], attempts[0][3], attempts[0][4], attempts[0][5]}
	for i, id := range ids {
		if slices.Index(ids, id) != i || len(id) != 36 {
			t.Errorf("the ids are %q", ids)
		}
	}
}

// Each call of Do has ids and a time of its own, and outside of work Now and NewID are the clock and chance.
func TestIDsOfUnitsOfWork(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) { m.Emits(asked{}).ForOutside(asked{}) })
	seen := map[string]bool{}
	add := func(ctx context.Context, ids int) {
		for range ids {
			id := bus.NewID(ctx)
			if seen[id] || len(id) != 36 {
				t.Errorf("the id %q comes again", id)
			}
			seen[id] = true
		}
		if age := time.Since(bus.Now(ctx)); age < 0 || age > time.Minute {
			t.Errorf("Now is %v ago", age)
		}
	}
	for range 3 {
		_, err := a.m.Do(t.Context(), func(ctx context.Context) (bus.Events, error) {
			add(ctx, 2)
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
		add(t.Context(), 2)
	}
}
