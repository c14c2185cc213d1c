package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/internal/pause"
)

var (
	_ payment.Gateway  = (*World)(nil)
	_ shipping.Carrier = (*World)(nil)
)

const defaultSilence = 30 * time.Second

// World is a payment gateway and a carrier. Methods may be called from any goroutine.
type World struct {
	options Options

	mu    sync.Mutex
	file  *diary // nil for a world in memory
	state state
	done  bool // Close was called
}

// Open opens the world in the file at path, with all its earlier work, or creates the file. An empty path is a new
// world in memory. Only one process at a time can open a file: the others get ErrInUse, by the lock file path.lock.
// Open removes a last line that a crash cut short. The file survives a kill of the process, but not a power cut.
func Open(path string, o Options) (*World, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Silence == 0 {
		o.Silence = defaultSilence
	}
	w := &World{options: o, state: newState()}
	if path == "" {
		return w, nil
	}
	var err error
	if w.file, err = openDiary(path, &w.state); err != nil {
		return nil, err
	}
	return w, nil
}

// Close ends the world: a call that has not done its work yet fails with ErrClosed. Ledger and Close can still be
// called.
func (w *World) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return nil
	}
	w.done = true
	if w.file == nil {
		return nil
	}
	return w.file.close()
}

// Charge takes money from the customer of an order, or fails with *payment.DeclinedError.
func (w *World) Charge(ctx context.Context, c payment.Charge) (payment.Receipt, error) {
	a, err := w.serve(ctx, request{Kind: charge, Key: c.Key, Order: c.OrderID, Amount: c.Amount})
	if err == nil && a.Refused != "" {
		err = &payment.DeclinedError{Reason: a.Refused}
	}
	return payment.Receipt{Reference: a.Reference}, err
}

// Refund gives money back to the customer of an order, also without an earlier charge.
func (w *World) Refund(ctx context.Context, r payment.Refund) (payment.Receipt, error) {
	a, err := w.serve(ctx, request{Kind: refund, Key: r.Key, Order: r.OrderID, Amount: r.Amount})
	return payment.Receipt{Reference: a.Reference}, err
}

// Dispatch takes the parcel of an order, or fails with *shipping.UndeliverableError.
func (w *World) Dispatch(ctx context.Context, p shipping.Parcel) (shipping.Label, error) {
	a, err := w.serve(ctx, request{Kind: dispatch, Key: p.Key, Order: p.OrderID})
	if err == nil && a.Refused != "" {
		err = &shipping.UndeliverableError{Reason: a.Refused}
	}
	return shipping.Label{Tracking: a.Reference}, err
}

// Ledger returns a copy of the world's ledger.
func (w *World) Ledger() Ledger {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.ledger()
}

// serve handles a call from arrival to answer.
func (w *World) serve(ctx context.Context, r request) (answer, error) {
	if err := r.check(); err != nil {
		return answer{}, err
	}
	attempt, err := w.arrive(r)
	if err != nil {
		return answer{}, err
	}
	fate := w.options.fate(r)
	var trouble Trouble
	if attempt <= len(fate.Troubles) {
		trouble = fate.Troubles[attempt-1]
	}
	wait := w.options.latency(r.Key, attempt)
	if trouble == Timeout {
		wait = w.options.Silence
	}
	if err := sleep(ctx, wait); err != nil {
		return answer{}, fmt.Errorf("sim: %s %s: %w", r.Kind, r.Key, err)
	}
	switch trouble {
	case Transient:
		return answer{}, ErrUnavailable
	case Timeout:
		return answer{}, ErrNoAnswer
	}
	a, err := w.settle(r, fate)
	if err == nil && trouble == LostAnswer {
		return answer{}, ErrNoAnswer
	}
	return a, err
}

// arrive records a call, and returns the number of the attempt for the key, from 1.
func (w *World) arrive(r request) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.state.keys[r.Key]; ok && known.request != r {
		return 0, fmt.Errorf("%w: %s is the key of %s, not of %s", ErrKeyReused, r.Key, known.request, r)
	}
	if err := w.note(entry{request: r}); err != nil {
		return 0, err
	}
	return w.state.keys[r.Key].calls, nil
}

// settle does the work of a request, unless an earlier call has, and returns the answer.
func (w *World) settle(r request, f Fate) (answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.state.keys[r.Key]; known.answer != nil {
		return *known.answer, nil
	}
	var a answer
	switch {
	case r.Kind == charge && f.Declined != "":
		a.Refused = f.Declined
	case r.Kind == dispatch && f.Undeliverable != "":
		a.Refused = f.Undeliverable
	default:
		a.Reference = fmt.Sprintf("%s-%016x", r.Kind, w.options.draw("reference", r.Key, 0))
	}
	if err := w.note(entry{request: r, Answer: &a}); err != nil {
		return answer{}, err
	}
	return a, nil
}

// note writes an entry to the file and then to the state. The caller holds w.mu.
func (w *World) note(e entry) error {
	if w.done {
		return ErrClosed
	}
	if w.file != nil {
		if err := w.file.write(e); err != nil {
			return err
		}
	}
	w.state.apply(e)
	return nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	pause.For(ctx, d)
	return ctx.Err()
}
