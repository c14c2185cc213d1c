package handlers

import (
	"context"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order/orderevents"
)

// Notification wires the notification module: every customer is notified, once, of the end of an order.
func Notification(b *bus.Bus, swap ...Reactions) {
	m := b.Module("notification").Migrations(notification.Schema)

	notify := func(ctx context.Context, n notification.Notice) (bus.Events, error) {
		_, err := notification.Notify(ctx, bus.Tx(ctx), n)
		if errors.Is(err, notification.ErrConflict) {
			return nil, bus.Dead(err)
		}
		return nil, err
	}

	Reactions{
		"tell-completed": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e orderevents.Completed) (bus.Events, error) {
				return notify(ctx, notification.OfCompleted(e))
			})
		},
		"tell-cancelled": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e orderevents.Cancelled) (bus.Events, error) {
				return notify(ctx, notification.OfCancelled(e))
			}).AnyOrder() // an order has one end
		},
	}.on(m, swap)
}
