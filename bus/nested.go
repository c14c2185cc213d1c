package bus

import "fmt"

// Handlers and units of work must not call Do, Publish or, with a transaction, View: inner writes would not belong to
// the outer commit. The context shows a nested call or, with another context, the stack. Neither shows a call in a
// goroutine: when a handler with a transaction waits for the goroutine, the journal reports the call.

const (
	returnInstead = "return the events instead"
	readThroughTx = "a View does not see the writes of this transaction: read through Tx"
)

func nested(instead string) error {
	return fmt.Errorf("%w: %s (the call used another context)", ErrNested, instead)
}
