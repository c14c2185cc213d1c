package discard

import (
	"context"
	"errors"
	"time"

	"github.com/troupebus/troupe/bus"
)

type e struct{}

func (e) EventType() string { return "e" }

func handle(ctx context.Context, _ e) (bus.Events, error) {
	bus.Emit(e{}) // want "the result of bus.Emit is thrown away: no event is emitted: return the events"
	out := bus.Emit(e{})
	out.Also(func(context.Context) error { return nil }) // want "the result of Events.Also is thrown away: the function does not run"
	bus.After(time.Hour, e{})                            // want "the result of bus.After is thrown away"
	bus.At(time.Time{}, e{})                             // want "the result of bus.At is thrown away"
	bus.After(time.Hour, e{}).Named("reminder")          // want "the result of Delayed.Named is thrown away"
	bus.Dead(errors.New("no"))                           // want "the result of bus.Dead is thrown away: .*: return the error"
	bus.Correlate(ctx, "id")                             // want "the result of bus.Correlate is thrown away: .*: use the context"
	//troupe:allow discard it shows how events are lost
	bus.Emit(e{})
	//troupe:allow discard
	bus.Emit(e{}) // want "the result of bus.Emit is thrown away"
	_ = bus.Emit(e{})
	return out.Also(func(context.Context) error { return nil }), nil
}

// Emit has the name of a function of the bus.
func Emit(...e) {}

func other() { Emit(e{}) }
