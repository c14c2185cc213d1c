//troupe:allow nested the file shows what the bus refuses

package nested

import (
	"context"

	"github.com/troupebus/troupe/bus"
)

func (d desk) refused() {
	bus.On(d.m, "g", func(ctx context.Context, _ e) (bus.Events, error) {
		d.m.Publish(ctx, e{})
		bus.Emit(e{}) // want "the result of bus.Emit is thrown away"
		return nil, nil
	})
}
