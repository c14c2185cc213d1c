package planted

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// right is every reaction of package handlers once more, but so that one of them can be swapped. That they are right here,
// too, is what the test of the right shop shows.
var right = Swap{
	"inventory/reserve-stock":         reserveStock,
	"inventory/release-declined":      releaseDeclined,
	"inventory/release-undeliverable": releaseUndeliverable,
	"inventory/ship":                  ship,
	"inventory/restock":               restock,
	"notification/tell-cancelled":     tellCancelled,
	"notification/tell-completed":     tellCompleted,
	"order/cancel-declined":           cancelDeclined,
	"order/cancel-short":              cancelShort,
	"order/cancel-undeliverable":      cancelUndeliverable,
	"order/complete":                  complete,
	"payment/charge":                  charge,
	"payment/refund-returned":         refundReturned,
	"payment/refund-undeliverable":    refundUndeliverable,
	"payment/void":                    void,
	"shipping/dispatch":               dispatch,
	"shipping/stop":                   stop,
}

// react puts the reactions of module on m: the right ones but for what is swapped.
func (g Bug) react(module string, m *bus.Module, o Outside) {
	all := maps.Clone(right)
	maps.Copy(all, g.Swap)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, module+"/") {
			all[name](m, o)
		}
	}
}

// final marks what no retry helps against: events that contradict each other.
func final(err error) error {
	for _, no := range []error{inventory.ErrConflict, order.ErrEnded, order.ErrNotFound, payment.ErrConflict, payment.ErrNotCharged, shipping.ErrConflict, notification.ErrConflict} {
		if errors.Is(err, no) {
			return bus.Dead(err)
		}
	}
	return err
}

// once gives up a second answer to what was answered before.
func once(fresh bool, err error) error {
	if err == nil && !fresh {
		return bus.Drop("recorded before")
	}
	return final(err)
}

func complete(m *bus.Module, _ Outside) {
	bus.On(m, "complete", func(ctx context.Context, e shippingevents.Dispatched) (bus.Events, error) {
		c, fresh, err := order.Complete(ctx, bus.Tx(ctx), e.OrderID)
		if err != nil || !fresh {
			return nil, final(err)
		}
		if c.Returned != nil {
			return bus.Emit(c.Completed, *c.Returned), nil
		}
		return bus.Emit(c.Completed), nil
	}).Emits(orderevents.Completed{}, orderevents.Returned{})
}

func cancel(ctx context.Context, id, reason string) (bus.Events, error) {
	cancelled, fresh, err := order.Cancel(ctx, bus.Tx(ctx), id, reason)
	if err != nil || !fresh {
		return nil, final(err)
	}
	return bus.Emit(cancelled), nil
}

func cancelShort(m *bus.Module, _ Outside) {
	bus.On(m, "cancel-short", func(ctx context.Context, e inventoryevents.Short) (bus.Events, error) {
		return cancel(ctx, e.OrderID, "out of stock")
	}).Emits(orderevents.Cancelled{})
}

func cancelDeclined(m *bus.Module, _ Outside) {
	bus.On(m, "cancel-declined", func(ctx context.Context, e paymentevents.Declined) (bus.Events, error) {
		return cancel(ctx, e.OrderID, "payment declined: "+e.Reason)
	}).Emits(orderevents.Cancelled{})
}

func cancelUndeliverable(m *bus.Module, _ Outside) {
	bus.On(m, "cancel-undeliverable", func(ctx context.Context, e paymentevents.Refunded) (bus.Events, error) {
		return cancel(ctx, e.OrderID, "undeliverable, refunded")
	}).Emits(orderevents.Cancelled{}).When(undelivered)
}

func undelivered(e paymentevents.Refunded) bool { return e.Reason == paymentevents.ReasonUndeliverable }

func dispatch(m *bus.Module, o Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		step, err := beginDispatch(ctx, e.OrderID)
		if err != nil || step != shipping.AskCarrier {
			return stopped(step, e.OrderID), err
		}
		return handOver(ctx, o.Carrier, shipping.Parcel{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID})
	}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel)
}

func beginDispatch(ctx context.Context, orderID string) (step shipping.Step, err error) {
	err = bus.Commit(ctx, func(ctx context.Context) (err error) {
		step, err = shipping.Begin(ctx, bus.Tx(ctx), orderID)
		return err
	})
	return step, err
}

// stopped is the answer about a parcel that the carrier is not to be asked about.
func stopped(step shipping.Step, orderID string) bus.Events {
	if step == shipping.AnswerCancelled {
		return undeliverable(orderID, shippingevents.ReasonCancelled)
	}
	return nil
}

// handOver asks the carrier, and answers with what came of it.
func handOver(ctx context.Context, c shipping.Carrier, p shipping.Parcel) (bus.Events, error) {
	label, err := c.Dispatch(ctx, p)
	var no *shipping.UndeliverableError
	switch {
	case errors.As(err, &no):
		return undeliverable(p.OrderID, no.Reason), nil
	case err != nil:
		return nil, err
	}
	e := shippingevents.Dispatched{OrderID: p.OrderID, Tracking: label.Tracking}
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return once(shipping.RecordDispatched(ctx, bus.Tx(ctx), e))
	}), nil
}

func undeliverable(orderID, reason string) bus.Events {
	e := shippingevents.Undeliverable{OrderID: orderID, Reason: reason}
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return once(shipping.RecordUndeliverable(ctx, bus.Tx(ctx), e))
	})
}

func stop(m *bus.Module, _ Outside) {
	bus.On(m, "stop", func(ctx context.Context, e orderevents.CancelRequested) (bus.Events, error) {
		_, err := shipping.Stop(ctx, bus.Tx(ctx), e.OrderID)
		return nil, err
	})
}

func tellCompleted(m *bus.Module, _ Outside) {
	bus.On(m, "tell-completed", func(ctx context.Context, e orderevents.Completed) (bus.Events, error) {
		return tell(ctx, notification.OfCompleted(e))
	})
}

func tellCancelled(m *bus.Module, _ Outside) {
	bus.On(m, "tell-cancelled", func(ctx context.Context, e orderevents.Cancelled) (bus.Events, error) {
		return tell(ctx, notification.OfCancelled(e))
	})
}

func tell(ctx context.Context, n notification.Notice) (bus.Events, error) {
	_, err := notification.Tell(ctx, bus.Tx(ctx), n)
	return nil, final(err)
}
