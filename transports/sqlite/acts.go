package sqlite

import (
	"context"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/acts"
)

// The acts of people are in package internal/acts.
type (
	// Act says what a person does with which dead letters, and why.
	Act = acts.Act

	// OpenAct says what a person does with deliveries that are open and not dead, and why. The fields that are not empty choose which.
	OpenAct = acts.OpenAct
)

// Replay gives dead letters of the journal at path another chance, with the subscription that failed only: each takes its position by age
// among what is open for its key. It may be called while a process runs on the journal, which takes them up within Config.ForeignCheck;
// otherwise the next process does. It returns those that it replays.
//
// With IDs it is all or nothing: an ErrNotFound when there is no such dead letter, an ErrNotDead when one was acted on before, an
// ErrRetired when no program would run it. Without IDs it goes in batches, each of which is durable, so that publishers need not wait:
// on an error, the returned ones are replayed. It returns them without the data of their events. On the journal of an observer it is an
// ErrObserver, which says where to do it.
func Replay(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return acts.Replay(ctx, path, a)
}

// Drop gives dead letters up for good, and lets their keys go on where they were parked. In everything else it is like Replay, but that
// subscriptions may be removed.
func Drop(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return acts.Drop(ctx, path, a)
}

// RetryNow makes deliveries that wait for another attempt due at once, each when nothing older of its key is open, and returns their
// number. Like Replay it may be called while a process runs on the journal, goes in batches, and is an ErrObserver on the journal of an
// observer. It is an ErrNotFound where none waits, and an ErrRetired where no program would run those that do.
func RetryNow(ctx context.Context, path string, a OpenAct) (int, error) {
	return acts.RetryNow(ctx, path, a)
}

// DropOpen gives up what a removed subscription has left open: deliveries that wait for another attempt, or after one that does. It
// returns their number. It is an error for a subscription that the program which ran last has, and otherwise like RetryNow.
func DropOpen(ctx context.Context, path string, a OpenAct) (int, error) {
	return acts.DropOpen(ctx, path, a)
}
