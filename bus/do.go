package bus

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/internal/eventid"
	"github.com/troupebus/troupe/bus/internal/react"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Unit describes a unit of work for Do. The zero value has no key, and the time limit of the bus.
type Unit struct {
	// Key is the idempotency key that the caller of the module chose for the request, of up to 1 KiB. For Config.KeepKeys
	// after the commit, Do runs no other work of the module under the key, and returns the flow and the result of the
	// first. The key is a row in the commit of the work: after an error the key is free.
	Key string
	// Body is the content of the request. Do compares bodies by their JSON, and returns an ErrKeyReused for a known key
	// with another body.
	Body any
	// Timeout limits the time in the transaction. Defaults to Config.UnitTimeout.
	Timeout time.Duration
}

// Do is Module.Do with a result and, in u, with an idempotency key. Under a key, the result goes through encoding/json,
// so that the first answer and a repeated answer are the same.
func Do[T any](
	ctx context.Context, m *Module, u Unit, fn func(ctx context.Context) (T, Events, error),
) (result T, flow string, err error) {
	var made T // not the result itself: abandoned work may still write the variable
	work := func(ctx context.Context) (out Events, err error) {
		made, out, err = fn(ctx)
		return out, err
	}
	if u.Key == "" {
		if flow, err = m.do(ctx, u.Timeout, nil, work, nil); err == nil {
			result = made
		}
		return result, flow, err
	}
	o, err := m.bus.once(u)
	if err != nil {
		return result, "", err
	}
	if flow, err = m.do(ctx, u.Timeout, o, work, func() ([]byte, error) { return json.Marshal(made) }); err != nil {
		return result, "", err
	}
	if err := json.Unmarshal(o.Answer, &result); err != nil {
		return result, flow, fmt.Errorf("decode the result of key %.60q: %w", u.Key, err)
	}
	return result, flow, nil
}

// once returns the key of u for the journal.
func (b *Bus) once(u Unit) (*journal.Once, error) {
	body, err := json.Marshal(u.Body)
	if err != nil {
		return nil, fmt.Errorf("encode Unit.Body: %w", err)
	}
	if err := wire.CheckName(u.Key); err != nil {
		return nil, fmt.Errorf("%w: key %.60q %w", ErrBadID, u.Key, err)
	}
	if len(u.Key) > wire.MaxAttribute {
		return nil, fmt.Errorf("%w: the key has %d bytes, the limit is %d", ErrTooLarge, len(u.Key), wire.MaxAttribute)
	}
	digest := sha256.Sum256(body)
	return &journal.Once{Key: u.Key, Digest: digest[:], Keep: b.cfg.KeepKeys}, nil
}

// Do runs fn as a unit of work: the writes of fn through Tx and the returned events are one commit, on disk when Do
// returns without an error. Do returns the id of the flow of the events: a new flow, unless ctx comes from Correlate.
// An error or a panic of fn rolls everything back; Do returns an error of fn unchanged.
//
// fn must not wait for the outside world, because all other writes wait for fn. fn may run twice, when the journal has
// to repeat a group of commits: set variables outside of fn anew in each run, or return a result from the function Do.
//
// When ctx ends before fn starts, fn does not run. After the start, Do waits for the outcome. After an error no write
// is on disk, except with ErrUnknown: only then a repetition without a key may do the work twice.
func (m *Module) Do(ctx context.Context, fn func(ctx context.Context) (Events, error)) (flow string, err error) {
	return m.do(ctx, 0, nil, fn, nil)
}

// Publish emits events that need no unit of work: in the given order, all or none, on disk when Publish returns
// without an error. Publish returns the id of the flow. The errors are those of Do.
func (m *Module) Publish(ctx context.Context, events ...Event) (flow string, err error) {
	return m.Do(ctx, func(context.Context) (Events, error) { return Emit(events...), nil })
}

// do runs a unit of work. With a key in o, answer encodes the result of fn.
func (m *Module) do(
	ctx context.Context, limit time.Duration, o *journal.Once,
	fn func(ctx context.Context) (Events, error), answer func() ([]byte, error),
) (flow string, err error) {
	if react.ScopeOf(ctx) != nil {
		return "", fmt.Errorf("%w: %s", ErrNested, returnInstead)
	}
	if m.bus.engine.Calls.Within() {
		return "", nested(returnInstead)
	}
	with, _ := ctx.Value(metadataKey{}).(metadata)
	if err := errors.Join(m.mustRunHere(), m.bus.Ready(), with.err); err != nil {
		return "", err
	}
	from := origin{module: m, declared: m.emits, metadata: with.values}
	from.correlation, _ = ctx.Value(correlationKey{}).(string)
	limit = cmp.Or(limit, m.bus.cfg.UnitTimeout)
	work := journal.Work{Module: m.name, Name: m.name + " (unit of work)", Limit: limit, Once: o}
	unit := &journal.Event{ID: eventid.New(), Time: toMicros(m.bus.now())}
	var started string // not the result itself: abandoned work may still write the variable
	err = m.bus.journal.Do(ctx, work, func(tx journal.TxFunc) ([]*journal.Event, error) {
		inner := (&react.Scope{Tx: tx, Unit: unit}).In(context.WithoutCancel(ctx))
		var out Events
		err := m.bus.engine.Transaction(func() (err error) {
			out, err = fn(inner)
			return err
		})
		if err != nil {
			return nil, err
		}
		events, err := m.bus.sealAndFollow(inner, out, from)
		started = ""
		if i := slices.IndexFunc(events, func(e *journal.Event) bool { return e.Type != "" }); err == nil && i >= 0 {
			started = events[i].CorrelationID
		}
		if err == nil && o != nil {
			o.Flow = started
			o.Answer, err = answer()
		}
		return events, err
	})
	switch {
	case errors.Is(err, journal.ErrNested):
		return "", fmt.Errorf("%w: %s: %w", ErrNested, returnInstead, err)
	case errors.Is(err, journal.ErrClosed):
		return "", fmt.Errorf("%w: %w", ErrNotRunning, err)
	case err != nil:
		return "", err
	case o != nil:
		return o.Flow, nil
	}
	return started, nil
}
