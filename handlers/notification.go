package handlers

import (
	"context"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order/orderevents"
)

// Notification wires the notification module: every customer is told, once, how the order ended.
func Notification(b *bus.Bus) {
	m := b.Module("notification").Migrations(notification.Schema)

	tell := func(ctx context.Context, n notification.Notice) (bus.Events, error) {
		_, err := notification.Tell(ctx, bus.Tx(ctx), n)
		if errors.Is(err, notification.ErrConflict) {
			return nil, bus.Dead(err)
		}
		return nil, err
	}

	bus.On(m, "tell-completed", func(ctx context.Context, e orderevents.Completed) (bus.Events, error) {
		return tell(ctx, notification.OfCompleted(e))
	})

	bus.On(m, "tell-cancelled", func(ctx context.Context, e orderevents.Cancelled) (bus.Events, error) {
		return tell(ctx, notification.OfCancelled(e))
	})
}
