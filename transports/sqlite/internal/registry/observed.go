package registry

import (
	"context"
	"database/sql"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
)

// ByName selects a subscription of an observer's journal by a present or earlier name: id, start, the number of runs
// from the start, whether the observer's program has the subscription, and whether the subscription is retired.
const ByName = `
SELECT id, start_seq, rebuilds, types <> '[]', retired_at IS NOT NULL FROM subscriptions s WHERE run_of = ''
AND (name = ?1 OR EXISTS (SELECT 1 FROM json_each(s.was) w WHERE w.value = ?1)) ORDER BY name = ?1 DESC LIMIT 1`

// Follow brings an observer's journal up to a record of the subscription called name, with its earlier names and the
// number of runs from the start. A record from before a change changes nothing.
func Follow(ctx context.Context, tx *sql.Tx, name string, was []string, rebuilds int) error {
	if len(was) == 0 && rebuilds == 0 {
		return nil
	}
	all, err := readKnown(ctx, tx)
	if err != nil {
		return err
	}
	was = slices.DeleteFunc(slices.Clone(was), func(n string) bool { return n == name })
	k, err := find(all, journal.Subscription{Name: name, Was: was}, nil)
	if err != nil || k == nil { // the observer's program has both names: each keeps its own
		return nil
	}
	if k.name != name && !slices.Contains(k.was, name) {
		if err := k.rename(ctx, tx, name); err != nil {
			return err
		}
	}
	if rebuilds <= k.rebuilds {
		return nil
	}
	if _, err := giveUp(ctx, tx, k.id, actor, k.name+" runs from the start"); err != nil {
		return err
	}
	return k.archive(ctx, tx, k.version, rebuilds, actor, k.name+" runs from the start")
}
