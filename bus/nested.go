package bus

import (
	"fmt"
	"runtime"
	"slices"
)

// Handlers and units of work must not call Do, Publish or, with a transaction, View: the inner writes would not
// belong to the outer commit. The context shows a nested call. When user code has replaced the context, the stack
// shows the nested call. Neither shows a call in a goroutine of a handler: when a handler with a transaction waits
// for such a goroutine, the journal reports the call.

// inTransaction and outside run user code within work. mustNotNest looks for both in the stack.
//
//go:noinline
func inTransaction(fn func() (Events, error)) (Events, error) { out, err := fn(); return out, err }

//go:noinline
func outside(fn func() (Events, error)) (Events, error) { out, err := fn(); return out, err }

// inTransactionPC and outsidePC are the return addresses of the calls of fn.
var (
	inTransactionPC = returnOf(inTransaction)
	outsidePC       = returnOf(outside)
)

func returnOf(marked func(func() (Events, error)) (Events, error)) uintptr {
	var pc [1]uintptr
	_, _ = marked(func() (Events, error) {
		runtime.Callers(2, pc[:])
		return nil, nil
	})
	return pc[0]
}

// transaction runs user code that has a transaction, and returns a panic as an error.
func (b *Bus) transaction(fn func() (Events, error)) (Events, error) {
	b.userCalls.Add(1)
	defer b.userCalls.Add(-1)
	return protect(func() (Events, error) { return inTransaction(fn) })
}

// external runs user code that has no transaction, and returns a panic as an error.
func (b *Bus) external(fn func() (Events, error)) (Events, error) {
	b.userCalls.Add(1)
	defer b.userCalls.Add(-1)
	return protect(func() (Events, error) { return outside(fn) })
}

// mustNotNest returns an ErrNested when a caller on the stack is user code that a function of pcs runs. The cost is an
// atomic load while no user code runs, and about a microsecond otherwise.
func (b *Bus) mustNotNest(what string, pcs ...uintptr) error {
	if b.userCalls.Load() == 0 {
		return nil
	}
	var stack [64]uintptr
	for skip := 2; ; skip += len(stack) {
		n := runtime.Callers(skip, stack[:])
		for _, pc := range stack[:n] {
			if slices.Contains(pcs, pc) {
				return fmt.Errorf("%w: %s (the call used another context)", ErrNested, what)
			}
		}
		if n < len(stack) {
			return nil
		}
	}
}
