package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// errTried rolls back a trial.
var errTried = errors.New("sqlite: tried")

// Fits implements journal.Journal. In a transaction that is rolled back, it tries Migrate, without running the
// migrations, and Subscribe. It logs removed subscriptions with open work, and subscriptions that seem to be renamed.
// When the program fits a journal with older tables, Fits brings the tables up to date.
func (j *Journal) Fits(ctx context.Context, modules map[string]fs.FS, subs []journal.Subscription) error {
	found, err := j.fits(ctx, modules, subs)
	if err != nil {
		return row.Explain(err)
	}
	for _, r := range found.renamed {
		j.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a new subscription begins with the oldest event and repeats the work of a removed one: "+
			"if the subscription was renamed, stop the program and restore the old name",
			slog.String("subscription", r.new), slog.String("removed", r.gone))
	}
	for _, l := range found.left {
		j.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a removed subscription has open work: "+
			"run the program with the subscription until the work is done, or drop the work",
			slog.String("subscription", l.name), slog.Int64("events", l.events), slog.Int64("retrying", l.retrying), slog.Int64("blocked", l.blocked),
			slog.Int64("dead_letters", l.dead))
	}
	return nil
}

// unfit describes problems that do not keep a program from running.
type unfit struct {
	left    []leftOpen
	renamed []renamed
}

func (j *Journal) fits(ctx context.Context, modules map[string]fs.FS, subs []journal.Subscription) (found unfit,
	err error) {
	try := func(tx *sql.Tx) (err error) {
		found, err = j.tryOut(ctx, tx, modules, subs)
		return err
	}
	if asked, err := j.begin(ctx, try); asked || err != nil {
		return found, err
	}
	err = j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Run: func(u *commit.Unit) error {
		return cmp.Or(try(u.Tx()), errTried)
	}})
	if errors.Is(err, errTried) {
		err = nil
	}
	return found, err
}

// tryOut tries Migrate and Subscribe in tx, which the caller rolls back, and returns problems with subscriptions of an
// earlier program.
func (j *Journal) tryOut(ctx context.Context, tx *sql.Tx, modules map[string]fs.FS,
	subs []journal.Subscription) (found unfit, err error) {
	for _, module := range slices.Sorted(maps.Keys(modules)) {
		if err := j.applied.Try(ctx, tx, module, modules[module]); err != nil {
			return found, fmt.Errorf("tables of module %s: %w", module, err)
		}
	}
	if found.left, err = openWorkOfOthers(ctx, tx, subs); err != nil { // before they are retired
		return found, err
	}
	if found.renamed, err = renamedSince(ctx, tx, subs); err != nil {
		return found, err
	}
	if _, err = j.registerAll(ctx, tx, subs); err != nil {
		return found, fmt.Errorf("subscribe: %w", err)
	}
	return found, nil
}

// renamed is a new subscription, and a removed one of the same module that has handled events of the same type.
type renamed struct{ new, gone string }

// renamedSince pairs new subscriptions with removed ones of the same module and type. A subscription that begins with
// new events repeats no work, and is left out.
func renamedSince(ctx context.Context, q row.Queryer, subs []journal.Subscription) (pairs []renamed, err error) {
	has, all := map[string]journal.Subscription{}, map[string]bool{}
	for _, s := range subs {
		if all[s.Name] = true; !s.FromNow && !s.Elsewhere {
			has[s.Name] = s
		}
	}
	gone := map[string][]string{}
	const known = "SELECT name, types, retired_at IS NULL AND except_of = 0 AND cursor > start_seq FROM subscriptions WHERE kind = 'bus'"
	err = row.Each(ctx, q, row.SQL(known), func(rows *sql.Rows) error {
		var name, list string
		var worked bool
		if err := rows.Scan(&name, &list, &worked); err != nil {
			return err
		}
		delete(has, name)
		if all[name] || !worked {
			return nil
		}
		var types []string
		err := json.Unmarshal([]byte(list), &types)
		gone[name] = types
		return err
	})
	for _, name := range slices.Sorted(maps.Keys(has)) {
		for _, old := range slices.Sorted(maps.Keys(gone)) {
			same := func(t string) bool { return slices.Contains(has[name].Types, t) }
			if journal.ModuleOf(old) == journal.ModuleOf(name) && slices.ContainsFunc(gone[old], same) {
				pairs = append(pairs, renamed{name, old})
			}
		}
	}
	return pairs, err
}

// leftOpen is the open work of a removed subscription.
type leftOpen struct {
	name                            string
	events, retrying, blocked, dead int64
}

// manyLeft bounds each count of open work.
const manyLeft = 10_000

// wanted is the SQL condition for the events e that subscription s of the bus wants. Topics of consumer groups are left
// out.
const wanted = `(
	CASE s.except_of WHEN 0 THEN e.type IN (SELECT value FROM json_each(s.types))
	ELSE e.type NOT IN (SELECT value FROM json_each(s.types))
	 AND e.type NOT IN (SELECT t.value FROM subscriptions g, json_each(g.types) t WHERE g.kind = 'group') END)`

const selectLeftOpen = `
SELECT s.name,
       CASE WHEN s.retired_at IS NULL THEN (SELECT count(*) FROM (
           SELECT 1 FROM events e WHERE e.seq > s.cursor AND ` + wanted + `
              AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)
              AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.subscription = s.id AND p.seq = e.seq AND p.key = e.key) LIMIT ?1)) ELSE 0 END,
       (SELECT count(*) FROM (SELECT 1 FROM pending p WHERE p.subscription = s.id AND p.state = 'retrying' LIMIT ?1)),
       (SELECT count(*) FROM (SELECT 1 FROM pending p WHERE p.subscription = s.id AND p.state = 'blocked' LIMIT ?1)),
       (SELECT count(*) FROM (SELECT 1 FROM dead_letters l WHERE l.subscription = s.id AND l.status IN ('dead', 'replaying') LIMIT ?1))
FROM subscriptions s WHERE s.kind = 'bus' AND s.name IN (SELECT value FROM json_each(?2)) ORDER BY s.name`

// openWorkOfOthers returns the open work of subscriptions that are not in subs.
func openWorkOfOthers(ctx context.Context, q row.Queryer, subs []journal.Subscription) (left []leftOpen, err error) {
	has := map[string]bool{}
	for _, s := range subs {
		has[s.Name] = true
	}
	gone := []string{}
	err = row.Each(ctx, q, row.SQL("SELECT name FROM subscriptions WHERE kind = 'bus'"), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		if !has[name] {
			gone = append(gone, name)
		}
		return err
	})
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	list, err := json.Marshal(gone)
	if err != nil {
		return nil, err
	}
	err = row.Each(ctx, q, row.SQL(selectLeftOpen, manyLeft, string(list)), func(rows *sql.Rows) error {
		var l leftOpen
		err := rows.Scan(&l.name, &l.events, &l.retrying, &l.blocked, &l.dead)
		if l.events+l.retrying+l.blocked+l.dead > 0 {
			left = append(left, l)
		}
		return err
	})
	return left, err
}
