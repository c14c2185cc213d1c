package sqlite

import (
	"context"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/acts"
)

// The acts of people are in package internal/acts.
type (
	// Act is a decision of a person about dead letters.
	//
	//	Actor  string           // user name; defaults to the user of the operating system
	//	Reason string           // for the record
	//	Select DeadLetterFilter // with IDs, all must be dead; without, only the dead ones are selected
	//	// Left, if set, is called with each removed subscription whose dead letters a Replay without IDs skips, and with
	//	// their number.
	//	Left   func(subscription string, letters int)
	//	// Each, if set, is called with each batch of dead letters once the batch is durable. The act then returns no dead
	//	// letters, and needs little memory.
	//	Each   func([]journal.DeadLetter)
	Act = acts.Act

	// OpenAct is a decision of a person about open deliveries that are not dead. Every field that is set narrows the
	// selection.
	//
	//	Actor        string // user name; defaults to the user of the operating system
	//	Reason       string // for the record
	//	Subscription string // of the deliveries
	//	Type         string // of the event
	//	Key          string // of the event
	//	Event        string // ID of the event
	OpenAct = acts.OpenAct
)

// Replay gives dead letters of the journal at path another attempt by the subscription that failed. Each dead letter
// keeps its position by age among the open events of its key. A running process takes the dead letters up within
// Config.ForeignCheck, otherwise the next process does. Replay returns the replayed dead letters.
//
// With IDs, Replay changes all or none. The error is an ErrNotFound for an unknown ID, an ErrNotDead for a dead letter
// that was replayed or dropped before, and an ErrRetired for a removed subscription. Without IDs, Replay works in
// durable batches, so publishers need not wait, and returns dead letters without event data: on an
// error, the returned ones are replayed. On an observer's journal the error is an ErrObserver, and names the right
// journal.
func Replay(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return acts.Replay(ctx, path, a)
}

// Drop gives dead letters up for good, and unblocks parked keys. Drop works like Replay, also for
// removed subscriptions.
func Drop(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return acts.Drop(ctx, path, a)
}

// RetryNow makes deliveries that wait for another attempt due at once, each after the older open events of its key, and
// returns their number. Like Replay, RetryNow works beside a running process, in batches, and returns an ErrObserver on
// the journal of an observer. The error is an ErrNotFound when no delivery waits, and an ErrRetired for a removed
// subscription.
func RetryNow(ctx context.Context, path string, a OpenAct) (int, error) {
	return acts.RetryNow(ctx, path, a)
}

// DropOpen gives up the open deliveries of a removed subscription, retrying and blocked ones, and returns their number.
// DropOpen refuses a subscription that is not removed, and otherwise works like RetryNow.
func DropOpen(ctx context.Context, path string, a OpenAct) (int, error) {
	return acts.DropOpen(ctx, path, a)
}
