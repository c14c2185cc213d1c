package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/acts"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Retire gives up, for good, the open work of a.Subscription in the journal at path, with the dead letters, and retires
// the subscription, so that a program without the subscription can start. Retire returns the dropped work. The journal
// must not be in use (ErrInUse). The error is an ErrNotFound for an unknown subscription, and an ErrObserver on the
// journal of an observer.
func Retire(ctx context.Context, path string, a OpenAct) (dropped OpenWork, err error) {
	if err := file.MustExist(path); err != nil {
		return dropped, fmt.Errorf("retire %s: %w", a.Subscription, err)
	}
	j, err := Open(ctx, path, Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return dropped, err
	}
	err = j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Durable: true, Run: func(u *commit.Unit) error {
		tx := u.Tx()
		if is, err := reader.Observes(ctx, tx); err != nil || is {
			return errors.Join(err, fmt.Errorf("%w, which only looks on: name the journal of the deployable that ran %s", ErrObserver, a.Subscription))
		}
		var found bool
		dropped, found, err = registry.Retire(ctx, tx, a.Subscription, acts.ActorOf(a.Actor), a.Reason)
		if err != nil || found {
			return err
		}
		return fmt.Errorf("%w: the journal has no subscription %q", ErrNotFound, a.Subscription)
	}})
	if err != nil {
		err = fmt.Errorf("retire %s: %w", a.Subscription, row.Explain(err))
	}
	return dropped, errors.Join(err, j.Close())
}
