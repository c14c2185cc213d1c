package bus_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
)

// A retry under another name has the same ids.
func TestIDsOfARenamedHandler(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	var mu sync.Mutex
	var ids []string
	wire := func(name string, was ...string) func(*bus.Module) {
		return func(m *bus.Module) {
			m.Emits(asked{})
			bus.On(m, name, func(ctx context.Context, e asked) (bus.Events, error) {
				mu.Lock()
				defer mu.Unlock()
				if ids = append(ids, bus.NewID(ctx)); len(ids) == 1 {
					return nil, bus.RetryAfter(time.Second, errPlanned)
				}
				return nil, nil
			}).Was(was...)
		}
	}
	a := MustRunOn(t, path, bus.Config{}, wire("first"))
	if _, err := a.m.Publish(t.Context(), asked{"a", 1}); err != nil {
		t.Fatal(err)
	}
	until(t, "an attempt", func() bool { mu.Lock(); defer mu.Unlock(); return len(ids) > 0 })
	a.stop()
	a = MustRunOn(t, path, bus.Config{}, wire("second", "first"))
	a.wait(t)
	if len(ids) < 2 || len(slices.Compact(ids)) != 1 {
		t.Errorf("the attempts have %q", ids)
	}
}
