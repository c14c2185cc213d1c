package bus

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/internal/react"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Errors of this package, for errors.Is. After nil, the work of Do or Publish is done. After ErrUnknown, the work may
// be done: repeat the work under an idempotency key. After ErrElsewhere, call the process that runs the module. After
// every other error the work is not done: after ErrNotRunning and ErrUnavailable, a later try may succeed.
var (
	// ErrUnavailable: the store refused the work, for a full disk, a lost lock or an I/O error.
	ErrUnavailable = journal.ErrUnavailable
	// ErrAbandoned: the work had the transaction for longer than its time limit.
	ErrAbandoned = journal.ErrAbandoned
	// ErrKeyReused: Unit.Key belongs to a request with another Body.
	ErrKeyReused = journal.ErrKeyReused
	// ErrWiring: the modules do not fit together. The error lists every mistake.
	ErrWiring = errors.New("bus: wiring")
	// ErrNotRunning: Do, Publish or another method was called before Run is ready, or after Run began to stop.
	ErrNotRunning = errors.New("bus: not running")
	// ErrElsewhere: Do, Publish or View was called on a module that runs in another process.
	ErrElsewhere = errors.New("bus: module runs elsewhere")
	// ErrNested: Do or Publish was called inside a handler or a unit of work: return the events instead. Or View was
	// called inside a transaction: read through Tx instead.
	ErrNested = errors.New("bus: nested unit of work")
	// ErrUnknown: Do or Publish committed, and then the disk failed. After a restart the events may or may not be there.
	ErrUnknown = journal.ErrUnknown
	// ErrUndeclared: the handler, or the module, emitted an event without declaring the type with Emits.
	ErrUndeclared = errors.New("bus: undeclared event")
	// ErrTooLarge: an event exceeds Config.MaxPayload, a key exceeds 16 KiB, a correlation id exceeds 1 KiB, or metadata
	// exceed 4 KiB.
	ErrTooLarge = wire.ErrTooLarge
	// ErrBadID: a correlation id or a value of With is not UTF-8, or has an invisible character; or With refuses a name.
	ErrBadID = wire.ErrBadID
	// ErrTooManyHops: an event would be more than Config.MaxHops reactions away from the start of the flow.
	ErrTooManyHops = errors.New("bus: too many hops")
)

// ElsewhereError is an ErrElsewhere with the name of the module.
type ElsewhereError struct {
	Module string
	Here   []string // the modules of this process
}

// Error returns the text, with advice.
func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("%v: module %s does not run in this process, which runs %s: call the process that runs %s",
		ErrElsewhere, e.Module, strings.Join(e.Here, ", "), e.Module)
}

// Is reports whether target is ErrElsewhere.
func (e *ElsewhereError) Is(target error) bool { return target == ErrElsewhere }

// Dead returns an error that makes the event a dead letter of the subscription at once, without further retries.
func Dead(err error) error { return react.Dead(err) }

// RetryAfter returns an error that sets the pause before the next attempt to d, in place of the backoff. The failed
// attempt counts toward Retry.Attempts.
func RetryAfter(d time.Duration, err error) error { return react.RetryAfter(d, err) }

// Wait returns an error that means "not now": the bus rolls back the writes of the handler, and calls the handler after
// d. The attempt does not count toward Retry.Attempts. The flow shows the reason, such as a rate limit. Later events of
// the key wait, too, as with a retry. The longest d is 10 years; 0 or less means 1 ms.
func Wait(d time.Duration, reason string) error {
	return react.Wait(max(d, time.Millisecond), "not now: "+reason)
}

// Drop returns an error that gives the event up for the subscription. The journal records the reason, and rolls back
// the writes of the handler.
func Drop(reason string) error { return react.Drop(reason) }
