package bus

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Errors that a caller may want to tell apart, with errors.Is.
var (
	// ErrWiring: the modules do not fit together. Every mistake is named in the error.
	ErrWiring = errors.New("bus: wiring")
	// ErrNotRunning: Do, Publish and the like before Run is ready, or after it has ended.
	ErrNotRunning = errors.New("bus: not running")
	// ErrElsewhere: Do, Publish or View of a module that runs in another process.
	ErrElsewhere = errors.New("bus: module runs elsewhere")
	// ErrNested: Do or Publish inside a handler or another unit of work, which return their events instead, or View where
	// there is a transaction to read through.
	ErrNested = errors.New("bus: nested unit of work")
	// ErrUnknown: Do or Publish committed, and the disk then failed. The events may or may not be there after a restart;
	// with every other error they are not.
	ErrUnknown = journal.ErrUnknown
	// ErrUndeclared: an event that the handler, or the module, did not declare with Emits.
	ErrUndeclared = errors.New("bus: undeclared event")
	// ErrTooLarge: an event over Config.MaxPayload, with a key over 16 KiB, or with a correlation id over 1 KiB.
	ErrTooLarge = errors.New("bus: event too large")
	// ErrBadID: a correlation id with a character that cannot be seen, or that is not UTF-8.
	ErrBadID = errors.New("bus: bad id")
	// ErrTooManyHops: an event that would be further than Config.MaxHops from the start of its flow.
	ErrTooManyHops = errors.New("bus: too many hops")
)

// ElsewhereError is an ErrElsewhere that names the module.
type ElsewhereError struct {
	Module string
	Here   []string // the modules that run in this process
}

// Error returns what to do instead.
func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("%v: module %s does not run in this process, which runs %s: ask the one that runs it", ErrElsewhere, e.Module, strings.Join(e.Here, ", "))
}

// Is reports whether target is ErrElsewhere.
func (e *ElsewhereError) Is(target error) bool { return target == ErrElsewhere }

// Dead says that no retry helps: the event becomes a dead letter of the subscription at once.
func Dead(err error) error { return &decision{err: err, dead: true} }

// RetryAfter says when the next attempt makes sense, in place of the backoff. It counts as an attempt.
func RetryAfter(d time.Duration, err error) error { return &decision{err: err, after: d} }

// Drop gives the event up for this subscription, for a reason that is recorded. What the handler wrote is rolled back.
func Drop(reason string) error { return &decision{err: errors.New(reason), drop: true} }

// decision is an error with which a handler decides itself what happens next.
type decision struct {
	err   error
	dead  bool
	drop  bool
	after time.Duration
}

// Error returns the text of the handler's error, or says that there is none.
func (d *decision) Error() string {
	if d.err == nil {
		return "no reason given"
	}
	return d.err.Error()
}

// Unwrap returns the handler's error.
func (d *decision) Unwrap() error { return d.err }

// panicError is what a panic in a handler becomes.
type panicError struct {
	value any
	stack string
}

// Error returns the value of the panic as text.
func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// readable returns err, or another error for one whose methods panic, such as a nil pointer of a type of errors: it is read
// where a panic would end the process, and then the next one, which gets the same event.
func readable(err error) (sound error) {
	defer func() {
		if v := recover(); v != nil {
			sound = &panicError{stack: string(debug.Stack()), value: fmt.Sprintf("an error of type %T cannot be read: %v "+
				"(a nil pointer that is returned as an error is not nil: return nil itself)", err, v)}
		}
	}()
	_ = err.Error()
	var own *decision
	_ = errors.As(err, &own)
	_ = errors.Is(err, ErrNested)
	return err
}
