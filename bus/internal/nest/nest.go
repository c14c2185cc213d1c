// Package nest finds a call from within running user code, by the stack, whatever context the call has.
package nest

import (
	"runtime"
	"slices"
	"sync/atomic"
)

// Calls are the calls of user code that run now.
type Calls struct{ running atomic.Int64 }

// Transaction runs user code that has a transaction.
func (c *Calls) Transaction(fn func()) {
	c.running.Add(1)
	defer c.running.Add(-1)
	transaction(fn)
}

// Outside runs user code that has no transaction.
func (c *Calls) Outside(fn func()) {
	c.running.Add(1)
	defer c.running.Add(-1)
	outside(fn)
}

// InTransaction reports whether code that Transaction runs has called. A call in another goroutine is not found. The
// cost is an atomic load while no user code runs, and about a microsecond otherwise.
func (c *Calls) InTransaction() bool { return c.called(transactionPC) }

// Within reports whether code that Transaction or Outside runs has called.
func (c *Calls) Within() bool { return c.called(transactionPC, outsidePC) }

func (c *Calls) called(pcs ...uintptr) bool {
	if c.running.Load() == 0 {
		return false
	}
	var stack [64]uintptr
	for skip := 3; ; skip += len(stack) {
		n := runtime.Callers(skip, stack[:])
		if slices.ContainsFunc(stack[:n], func(pc uintptr) bool { return slices.Contains(pcs, pc) }) {
			return true
		}
		if n < len(stack) {
			return false
		}
	}
}

// transaction and outside run user code. called looks for both in the stack.
//
//go:noinline
func transaction(fn func()) { fn(); runtime.KeepAlive(fn) }

//go:noinline
func outside(fn func()) { fn(); runtime.KeepAlive(fn) }

// transactionPC and outsidePC are the return addresses of the calls of fn.
var transactionPC, outsidePC = returnOf(transaction), returnOf(outside)

func returnOf(marked func(func())) uintptr {
	var pc [1]uintptr
	marked(func() { runtime.Callers(2, pc[:]) })
	return pc[0]
}
