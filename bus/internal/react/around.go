package react

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/internal/guard"
)

// The states of a call of Around.
const (
	waiting int32 = iota // for the call of next
	running              // next
	over                 // next has returned
	again                // next was called twice
)

var (
	errAgain = errors.New("Config.Around has called next twice: call next once, because the handler runs once in an attempt")
	errNever = errors.New("Config.Around has returned nil without a call of next, or before next returned: call next and wait, or return an error")
)

// handle runs r on e, within Around.
func (s *Subscription[E, O]) handle(ctx context.Context, r *Reaction[E, O], e E) (out O, err error) {
	if s.Around == nil {
		return r.Handle(ctx, e)
	}
	var state atomic.Int32
	var got result[O] // not the results themselves: next may run in a goroutine that Around has left
	err = s.Around(ctx, e, func(ctx context.Context) error {
		if !state.CompareAndSwap(waiting, running) {
			state.Store(again)
			return errAgain
		}
		got.err = guard.Run(func() (err error) {
			got.out, err = r.Handle(ctx, e)
			return err
		})
		state.CompareAndSwap(running, over)
		return got.err
	})
	switch state.Swap(again) { // a later call of next fails
	case over:
		if err = cmp.Or(err, got.err); err == nil {
			out = got.out
		}
		return out, err
	case again:
		return out, errors.Join(err, errAgain)
	default:
		return out, cmp.Or(err, errNever)
	}
}
