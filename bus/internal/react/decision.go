package react

import (
	"errors"
	"time"
)

// decision is an error by which a handler decides the outcome of an attempt.
type decision struct {
	err   error
	dead  bool
	drop  bool
	waits bool
	after time.Duration
}

// Error returns the text of the handler's error, or a note when the error is nil.
func (d *decision) Error() string {
	if d.err == nil {
		return "no reason given"
	}
	return d.err.Error()
}

// Unwrap returns the handler's error.
func (d *decision) Unwrap() error { return d.err }

// Dead returns an error that makes the event a dead letter.
func Dead(err error) error { return &decision{err: err, dead: true} }

// RetryAfter returns an error that sets the pause before the next attempt to d.
func RetryAfter(d time.Duration, err error) error { return &decision{err: err, after: d} }

// Wait returns an error that makes the handler run again after d, as the same attempt.
func Wait(d time.Duration, reason string) error {
	return &decision{err: errors.New(reason), waits: true, after: d}
}

// Drop returns an error that gives the event up.
func Drop(reason string) error { return &decision{err: errors.New(reason), drop: true} }
