package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

// errTried rolls back a trial.
var errTried = errors.New("sqlite: tried")

// Fits implements journal.Journal. In a transaction that is rolled back, it tries Migrate, without running the
// migrations, and Subscribe. A program that would leave open work behind, or repeat calls to the outside, is refused
// with an *OpenWorkError or a *PastError. Fits logs open work of retired subscriptions, subscriptions that seem to be
// renamed, and delayed events of modules that do not run here. When the program fits a journal with older tables, Fits
// brings the tables up to date.
func (j *Journal) Fits(ctx context.Context, modules map[string]fs.FS, subs []journal.Subscription) error {
	found, err := j.fits(ctx, modules, subs)
	if err != nil {
		return row.Explain(err)
	}
	warn := func(text string, attrs ...slog.Attr) { j.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, text, attrs...) }
	for _, r := range found.Renamed {
		warn("a new subscription begins with the oldest event and repeats the work of a removed one: "+
			"if the subscription was renamed, stop the program, restore the old name, and name the old name in Handler.Was of the new one",
			slog.String("subscription", r.New), slog.String("removed", r.Gone))
	}
	for _, l := range found.Left {
		warn("a removed subscription has open work: run the program with the subscription until the work is done, or drop the work",
			slog.String("subscription", l.Subscription), slog.Int64("events", l.Events), slog.Int64("retrying", l.Retrying),
			slog.Int64("blocked", l.Blocked), slog.Int64("dead_letters", l.DeadLetters))
	}
	for _, d := range found.Delayed {
		warn("the journal has delayed events of a module that does not run here: when due, events of an unknown type become dead letters, "+
			"and no relay sends the others; run the module here until the events are due",
			slog.String("module", d.Module), slog.Int64("events", d.Events), slog.Time("first", time.UnixMicro(d.First).UTC()))
	}
	return nil
}

func (j *Journal) fits(ctx context.Context, modules map[string]fs.FS, subs []journal.Subscription) (
	found registry.Findings, err error,
) {
	try := func(tx *sql.Tx) (err error) {
		found, err = j.tryOut(ctx, tx, modules, subs)
		return err
	}
	if asked, err := j.begin(ctx, try); asked || err != nil {
		return found, err
	}
	// Not in a group, which would write the pages that its savepoint restores.
	err = j.writer.Submit(ctx, &commit.Item{Alone: func(c *sql.Conn) error {
		return inTransaction(ctx, c, func(tx *sql.Tx, _ schema.Guard) error { return cmp.Or(try(tx), errTried) })
	}})
	if errors.Is(err, errTried) {
		err = nil
	}
	return found, err
}

// tryOut tries Migrate and Subscribe in tx, which the caller rolls back, and returns problems with subscriptions of an
// earlier program.
func (j *Journal) tryOut(ctx context.Context, tx *sql.Tx, modules map[string]fs.FS, subs []journal.Subscription) (
	found registry.Findings, err error,
) {
	here := slices.Sorted(maps.Keys(modules))
	for _, module := range here {
		if modules[module] == nil {
			continue
		}
		if err := j.applied.Try(ctx, tx, module, modules[module]); err != nil {
			return found, fmt.Errorf("tables of module %s: %w", module, err)
		}
	}
	if _, err := registry.TakeOver(ctx, tx, subs); err != nil {
		return found, err
	}
	if found, err = registry.Look(ctx, tx, here, subs); err != nil { // before the registration retires subscriptions
		return found, err
	}
	if _, err = registry.Register(ctx, tx, subs, j.tail.Newest()); err != nil {
		return found, fmt.Errorf("subscribe: %w", err)
	}
	return found, nil
}
