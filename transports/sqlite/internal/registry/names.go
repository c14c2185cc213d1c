package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// NamesError means that a subscription cannot have its name: the journal cannot tell which of several subscriptions is
// meant. Nothing was written.
type NamesError struct {
	Subscription string   // of the program
	Known        []string // subscriptions of the journal that have, or had, a name of Subscription
	Wired        bool     // the program has Known[0], too, under the present name
}

// Error names the subscriptions, and the remedy.
func (e *NamesError) Error() string {
	if e.Wired {
		return fmt.Sprintf("subscription %s has a name of %s, whose idempotency keys have that name: give %s a name that no subscription had",
			e.Subscription, e.Known[0], e.Subscription)
	}
	return fmt.Sprintf("subscription %s is to go on for %s, but the journal has each with a position and open work of its own: "+
		"leave the names of all but one out of Handler.Was", e.Subscription, strings.Join(e.Known, " and for "))
}

// Change is a change of a subscription by a start.
type Change struct {
	Subscription string
	Before       string // the name before; "" for no change of the name
	Version      int    // the number of a run from the start; 0 for no such run
	Dropped      OpenWork
}

// Log logs the subscriptions that go on under another name, or run from the start.
func Log(ctx context.Context, logger *slog.Logger, changes []Change) {
	for _, c := range changes {
		if c.Before != "" {
			logger.LogAttrs(ctx, slog.LevelInfo, "a renamed subscription goes on with the position and the open work of its earlier name",
				slog.String("subscription", c.Subscription), slog.String("before", c.Before))
		}
		if c.Version != 0 {
			logger.LogAttrs(ctx, slog.LevelInfo, "a subscription runs from the start; open work and dead letters of the former run are dropped",
				slog.String("subscription", c.Subscription), slog.Int("version", c.Version), slog.Int64("retrying", c.Dropped.Retrying),
				slog.Int64("blocked", c.Dropped.Blocked), slog.Int64("dead_letters", c.Dropped.DeadLetters))
		}
	}
}

// known is a subscription of the bus in the journal.
type known struct {
	id                int64
	name              string
	was               []string // earlier names, the oldest first
	version, rebuilds int
}

// called reports whether k has, or had, one of names.
func (k *known) called(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return n == k.name || slices.Contains(k.was, n) })
}

func readKnown(ctx context.Context, q row.Queryer) (all []*known, err error) {
	const query = "SELECT id, name, was, version, rebuilds FROM subscriptions WHERE kind = 'bus' AND run_of = '' ORDER BY id"
	err = row.Each(ctx, q, row.SQL(query), func(rows *sql.Rows) error {
		k := &known{}
		var was string
		if err := rows.Scan(&k.id, &k.name, &was, &k.version, &k.rebuilds); err != nil {
			return err
		}
		all = append(all, k)
		return json.Unmarshal([]byte(was), &k.was)
	})
	return all, err
}

// TakeOver gives the subscriptions of the journal their names in subs, and begins the runs from the start. In the usual
// case, TakeOver writes nothing. The error is a *NamesError when a name of subs leads to several subscriptions.
//
// An older program finds its renamed subscription by the former name, and takes the name back.
func TakeOver(ctx context.Context, tx *sql.Tx, subs []journal.Subscription) (changes []Change, err error) {
	all, err := readKnown(ctx, tx)
	if err != nil {
		return nil, err
	}
	wired := map[string]bool{}
	for _, s := range subs {
		wired[s.Name] = true
	}
	for _, s := range subs {
		k, err := find(all, s, wired)
		if err != nil {
			return nil, err
		}
		if k == nil {
			continue
		}
		c := Change{Subscription: s.Name}
		if k.name != s.Name {
			c.Before = k.name
			if err := k.rename(ctx, tx, s.Name); err != nil {
				return nil, err
			}
		}
		if s.Version != 0 && s.Version != k.version && !s.Elsewhere {
			c.Version = s.Version
			if c.Dropped, err = k.rebuild(ctx, tx, s.Version); err != nil {
				return nil, err
			}
		}
		if c.Before != "" || c.Version != 0 {
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// find returns the subscription of the journal that s goes on with, or nil.
func find(all []*known, s journal.Subscription, wired map[string]bool) (*known, error) {
	names := append([]string{s.Name}, s.Was...)
	var found []*known
	for _, k := range all {
		switch {
		case !k.called(names):
		case k.name != s.Name && wired[k.name]:
			return nil, &NamesError{Subscription: s.Name, Known: []string{k.name}, Wired: true}
		default:
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	e := &NamesError{Subscription: s.Name}
	for _, k := range found {
		e.Known = append(e.Known, k.name)
	}
	return nil, e
}

// rename gives k another name, and tells observers.
func (k *known) rename(ctx context.Context, tx *sql.Tx, name string) error {
	if !slices.Contains(k.was, k.name) {
		k.was = append(k.was, k.name)
	}
	k.name = name
	if _, err := tx.ExecContext(ctx, "UPDATE subscriptions SET name = ?, was = ? WHERE id = ?", name, row.List(k.was), k.id); err != nil {
		return err
	}
	return Report(ctx, tx, k.id)
}

// Began completes the row of a new subscription, and returns the name for the keys of deliveries: the oldest name of s,
// also on a journal that has never had the name.
func Began(ctx context.Context, tx *sql.Tx, s journal.Subscription) (first string, err error) {
	if len(s.Was) == 0 && s.Version == 0 {
		return s.Name, nil
	}
	was := append([]string{}, s.Was...)
	slices.Reverse(was)
	_, err = tx.ExecContext(ctx, "UPDATE subscriptions SET was = ?, version = ? WHERE name = ?", row.List(was), s.Version, s.Name)
	return append(was, s.Name)[0], err
}

// Report makes records for observers of a renamed or retired subscription, or one that is back: of the newest delivery
// and of the open deliveries.
func Report(ctx context.Context, tx *sql.Tx, subscription int64) error {
	_, err := tx.ExecContext(ctx, `
INSERT INTO records (seq, subscription)
SELECT * FROM (SELECT seq, subscription FROM deliveries WHERE subscription = ?1 ORDER BY seq DESC LIMIT 1)
UNION SELECT seq, subscription FROM pending WHERE subscription = ?1`, subscription)
	return err
}
