package cli

import (
	"context"
	"maps"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/cli/moves"
)

// unversioned and versioned are contracts.
type (
	unversioned struct{ parcel }
	versioned   struct{ parcel }
)

func (versioned) EventType() string  { return "test.versioned" }
func (*versioned) EventVersion() int { return 2 }

func TestCrossingsHaveVersions(t *testing.T) {
	t.Parallel()
	b := bus.New(nil, bus.Config{})
	b.Module("from").Emits(unversioned{}, versioned{})
	to := b.Module("to")
	bus.On(to, "one", ignore[unversioned])
	bus.On(to, "two", ignore[versioned])
	versions := map[string]int{}
	for _, c := range moves.CrossingsOf(b.Wiring().Program("test", ""), []string{"to"}) {
		versions[c.Type] = c.Version
	}
	if want := map[string]int{"test.sent": 1, "test.versioned": 2}; !maps.Equal(versions, want) {
		t.Errorf("crossings %v, want %v", versions, want)
	}
	if none := moves.CrossingsOf(b.Wiring().Program("test", ""), []string{"from", "to"}); len(none) > 0 {
		t.Errorf("together, they exchange %v", none)
	}
}

// ignore handles an event by doing nothing.
func ignore[E bus.Event](context.Context, E) (bus.Events, error) { return nil, nil }
