package bus

import (
	"fmt"
	"runtime"
	"slices"
)

// Handlers and units of work must not call Do, Publish or, with a transaction, View: what they write would not be part
// of their commit. Their context says where they are; where it was replaced by another one, the stack does. A goroutine
// that a handler started is found by neither: in a transaction, the journal finds it when it is waited for.

// inTransaction and outside run code of the users within work, and are what is looked for in the stack.
//
//go:noinline
func inTransaction(fn func() (Events, error)) (Events, error) { out, err := fn(); return out, err }

//go:noinline
func outside(fn func() (Events, error)) (Events, error) { out, err := fn(); return out, err }

// inTransactionPC and outsidePC are where the calls of fn return to.
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

// transaction runs code of the users that has a transaction, and makes a panic an error.
func (b *Bus) transaction(fn func() (Events, error)) (Events, error) {
	b.inside.Add(1)
	defer b.inside.Add(-1)
	return protect(func() (Events, error) { return inTransaction(fn) })
}

// external runs a handler without a transaction, and makes a panic an error.
func (b *Bus) external(fn func() (Events, error)) (Events, error) {
	b.inside.Add(1)
	defer b.inside.Add(-1)
	return protect(func() (Events, error) { return outside(fn) })
}

// mustNotNest is an ErrNested when the calling goroutine is within code that one of pcs runs. It costs one atomic load
// while no code of the users runs, and about a microsecond otherwise.
func (b *Bus) mustNotNest(what string, pcs ...uintptr) error {
	if b.inside.Load() == 0 {
		return nil
	}
	var stack [64]uintptr
	for skip := 2; ; skip += len(stack) {
		n := runtime.Callers(skip, stack[:])
		for _, pc := range stack[:n] {
			if slices.Contains(pcs, pc) {
				return fmt.Errorf("%w: %s, by another context", ErrNested, what)
			}
		}
		if n < len(stack) {
			return nil
		}
	}
}
