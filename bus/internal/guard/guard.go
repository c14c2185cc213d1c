// Package guard runs user code, and turns its panics into errors.
package guard

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Panic is the error of user code that panicked.
type Panic struct {
	Value any
	Stack string
}

// Error returns the value of the panic as text.
func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Run runs fn, and returns a panic as a Panic. The methods of the returned error do not panic.
func Run(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Panic{Value: v, Stack: string(debug.Stack())}
		}
	}()
	if err = fn(); err != nil {
		err = readable(err)
	}
	return err
}

// Stack returns the stack of a Panic, or "".
func Stack(err error) string {
	var p *Panic
	if errors.As(err, &p) {
		return p.Stack
	}
	return ""
}

// readable returns err or, when a method of err panics, another error. An example is a nil pointer of an error type.
// The bus calls these methods in its own goroutines, where a panic would end the process, and then also the next
// process, which gets the same event.
func readable(err error) (sound error) {
	defer func() {
		if v := recover(); v != nil {
			sound = &Panic{Stack: string(debug.Stack()), Value: fmt.Sprintf("an error of type %T panics when its text is read: %v "+
				"(an error that is a nil pointer is not nil: return nil instead)", err, v)}
		}
	}()
	_ = err.Error()
	var p *Panic
	_ = errors.As(err, &p)
	_ = errors.Is(err, errors.ErrUnsupported)
	return err
}
