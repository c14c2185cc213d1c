package registry

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/typechange"
)

// OpenWork counts the open work of a subscription. Each count ends at 10,000.
type OpenWork struct {
	Events      int64 `json:"events"` // without an attempt
	Retrying    int64 `json:"retrying"`
	Blocked     int64 `json:"blocked"`
	DeadLetters int64 `json:"dead_letters"` // dead, or waiting for a replay
}

func (w OpenWork) none() bool { return w == OpenWork{} }

// OpenWorkError means that the journal has open work of a subscription that the program does not have: the subscription
// was renamed or removed. Nothing was written.
type OpenWorkError struct {
	OpenWork
	Subscription string
}

// Error names the subscription, the open work, and the ways out.
func (e *OpenWorkError) Error() string {
	return fmt.Sprintf("the program does not have subscription %s, which has open work (%d waiting, %d retrying, %d blocked, %d dead letters): "+
		"if the subscription was renamed, name %q in Handler.Was of its new name; otherwise run the program with the subscription "+
		"until the work is done, or give the work up", e.Subscription, e.Events, e.Retrying, e.Blocked, e.DeadLetters, base(e.Subscription))
}

// PastError means that an external subscription is new, or gains types, and the journal has events for which the
// subscription would call the outside. Nothing was written.
type PastError struct {
	Subscription string
	Events       int64    // in the journal, of the types of Subscription, or of Gained; not more than 10,000 of Gained
	Removed      []string // subscriptions of the module to such a type that the program does not have
	Gained       []string // the types that Subscription gains; nil for a new subscription
}

// Error names the subscription, and the ways out.
func (e *PastError) Error() string {
	if len(e.Gained) > 0 {
		return fmt.Sprintf("external subscription %s gains %s, and would call the outside for %d events of the past: "+
			"choose Case.FromNow, for events from now on, or Handler.FromStart, for all",
			e.Subscription, strings.Join(e.Gained, ", "), e.Events)
	}
	was := "if the subscription was renamed, name the earlier name in Handler.Was"
	if len(e.Removed) > 0 {
		was = fmt.Sprintf("if the subscription was called %s, name %q in Handler.Was", e.Removed[0], base(e.Removed[0]))
	}
	return fmt.Sprintf("external subscription %s is new, and would call the outside for %d events of the past: %s; "+
		"otherwise choose Handler.FromNow, for events from now on, or Handler.FromStart, for all", e.Subscription, e.Events, was)
}

// base returns the name of a subscription without the module.
func base(name string) string { return name[len(journal.ModuleOf(name))+1:] }

// Renamed is a new subscription, and a removed one of the same module that has handled events of the same type.
type Renamed struct{ New, Gone string }

// Left is the open work of a retired subscription.
type Left struct {
	OpenWork
	Subscription string
	retired      bool
}

// Delayed counts the delayed events of a module that does not run on the journal.
type Delayed struct {
	Module string
	Events int64
	First  int64 // when the first is due, in microseconds since 1970
}

// Findings are problems that do not keep a program from running.
type Findings struct {
	Left    []Left // of retired subscriptions
	Renamed []Renamed
	Delayed []Delayed
}

// Look returns the problems of a program with the subscriptions of the journal, after TakeOver. modules run here. The
// error joins an *OpenWorkError or a *PastError for each subscription for which the program is refused.
func Look(ctx context.Context, q row.Queryer, modules []string, subs []journal.Subscription) (f Findings, err error) {
	has := map[string]bool{}
	for _, s := range subs {
		has[s.Name] = true
	}
	gone := []string{}
	err = row.Each(ctx, q, row.SQL("SELECT name FROM subscriptions WHERE kind = 'bus' AND run_of = ''"), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		if !has[name] {
			gone = append(gone, name)
		}
		return err
	})
	if err != nil {
		return f, err
	}
	left, err := leftOpen(ctx, q, gone)
	if err != nil {
		return f, err
	}
	var refused refusals
	for _, l := range left {
		if l.retired {
			f.Left = append(f.Left, l)
		} else {
			refused = append(refused, &OpenWorkError{l.OpenWork, l.Subscription})
		}
	}
	if f.Renamed, err = renamedSince(ctx, q, subs); err != nil {
		return f, err
	}
	for _, s := range subs {
		e, err := past(ctx, q, s, f.Renamed)
		if err != nil {
			return f, err
		}
		if e != nil {
			refused = append(refused, e)
		}
	}
	if len(refused) > 0 {
		return f, refused
	}
	f.Delayed, err = delayedElsewhere(ctx, q, modules)
	return f, err
}

// refusals are the reasons to refuse a program, a line each.
type refusals []error

// Error implements error.
func (r refusals) Error() string {
	text := ""
	for i, err := range r {
		if i > 0 {
			text += "\n"
		}
		text += err.Error()
	}
	return text
}

// Unwrap returns the reasons.
func (r refusals) Unwrap() []error { return r }

// past returns an error for an external subscription that is new, or gains types, and would handle events of the past.
func past(ctx context.Context, q row.Queryer, s journal.Subscription, renamed []Renamed) (*PastError, error) {
	if !s.Outside || s.Elsewhere || s.FromNow || s.FromStart {
		return nil, nil
	}
	types := "" // of the journal
	var start int64
	const known = "SELECT types, start_seq FROM subscriptions WHERE kind = 'bus' AND name = ?"
	err := row.Each(ctx, q, row.SQL(known, s.Name), func(rows *sql.Rows) error { return rows.Scan(&types, &start) })
	if err != nil {
		return nil, err
	}
	e := &PastError{Subscription: s.Name}
	c, err := typechange.Of(types, s)
	if err != nil {
		return nil, err
	}
	wants := slices.DeleteFunc(c.Gained, func(t string) bool { return slices.Contains(s.TypesFromNow, t) })
	query := row.SQL(`
SELECT (SELECT coalesce(sum(events), 0) FROM blocks WHERE type IN (SELECT value FROM json_each(?1)))
     + (SELECT count(*) FROM events WHERE seq > coalesce((SELECT upto FROM counted WHERE subscription = 0), 0) AND type IN (SELECT value FROM json_each(?1)))`,
		row.List(wants))
	if types != "" {
		e.Gained = wants
		query = row.SQL(`
SELECT count(*) FROM (SELECT 1 FROM events e WHERE e.seq > ?2 AND e.type IN (SELECT value FROM json_each(?1))
	AND NOT EXISTS (SELECT 1 FROM deliveries d JOIN subscriptions s ON s.id = d.subscription WHERE d.seq = e.seq AND s.name = ?3) LIMIT ?4)`,
			row.List(wants), start, s.Name, manyLeft)
	}
	err = row.Each(ctx, q, query, func(rows *sql.Rows) error { return rows.Scan(&e.Events) })
	if err != nil || e.Events == 0 {
		return nil, err
	}
	for _, r := range renamed {
		if r.New == s.Name {
			e.Removed = append(e.Removed, r.Gone)
		}
	}
	return e, nil
}

// delayedElsewhere counts the delayed events of modules that do not run here, by module.
func delayedElsewhere(ctx context.Context, q row.Queryer, modules []string) (found []Delayed, err error) {
	query := row.SQL(`
SELECT source, count(*), min(due_at) FROM delayed WHERE source NOT IN (SELECT value FROM json_each(?)) AND NOT EXISTS (SELECT 1 FROM observer)
GROUP BY source ORDER BY source`, row.List(append([]string{"", "bus"}, modules...)))
	err = row.Each(ctx, q, query, func(rows *sql.Rows) error {
		var d Delayed
		err := rows.Scan(&d.Module, &d.Events, &d.First)
		found = append(found, d)
		return err
	})
	return found, err
}

// renamedSince pairs new subscriptions with removed ones of the same module and type. A subscription that begins with
// new events repeats no work, and is left out.
func renamedSince(ctx context.Context, q row.Queryer, subs []journal.Subscription) (pairs []Renamed, err error) {
	fresh, all := map[string]journal.Subscription{}, []string{}
	for _, s := range subs {
		if all = append(all, s.Name); !s.FromNow && !s.FromStart && !s.Elsewhere {
			fresh[s.Name] = s
		}
	}
	const known = `
SELECT s.name, coalesce(t.value, ''), s.retired_at IS NULL AND s.except_of = 0 AND s.cursor > s.start_seq
FROM subscriptions s LEFT JOIN json_each(s.types) t WHERE s.kind = 'bus' AND s.run_of = ''`
	var gone [][2]string
	err = row.Each(ctx, q, row.SQL(known), func(rows *sql.Rows) error {
		var name, eventType string
		var worked bool
		err := rows.Scan(&name, &eventType, &worked)
		if delete(fresh, name); worked && !slices.Contains(all, name) {
			gone = append(gone, [2]string{name, eventType})
		}
		return err
	})
	for _, s := range subs {
		for _, g := range gone {
			pair := Renamed{s.Name, g[0]}
			if fresh[s.Name].Name != "" && journal.ModuleOf(g[0]) == journal.ModuleOf(s.Name) &&
				slices.Contains(s.Types, g[1]) && !slices.Contains(s.TypesFromNow, g[1]) && !slices.Contains(pairs, pair) {
				pairs = append(pairs, pair)
			}
		}
	}
	return pairs, err
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
SELECT s.name, s.retired_at IS NOT NULL,
       CASE WHEN s.retired_at IS NULL THEN (SELECT count(*) FROM (
           SELECT 1 FROM events e WHERE e.seq > s.cursor AND ` + wanted + `
              AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)
              AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.subscription = s.id AND p.seq = e.seq AND p.key = e.key) LIMIT ?1)) ELSE 0 END,
       (SELECT count(*) FROM (SELECT 1 FROM pending p WHERE p.subscription = s.id AND p.state = 'retrying' LIMIT ?1)),
       (SELECT count(*) FROM (SELECT 1 FROM pending p WHERE p.subscription = s.id AND p.state = 'blocked' LIMIT ?1)),
       (SELECT count(*) FROM (SELECT 1 FROM dead_letters l WHERE l.subscription = s.id AND l.status IN ('dead', 'replaying') LIMIT ?1))
FROM subscriptions s WHERE s.kind = 'bus' AND s.name IN (SELECT value FROM json_each(?2)) ORDER BY s.name`

// leftOpen returns the open work of the subscriptions called names that have any.
func leftOpen(ctx context.Context, q row.Queryer, names []string) (left []Left, err error) {
	err = row.Each(ctx, q, row.SQL(selectLeftOpen, manyLeft, row.List(names)), func(rows *sql.Rows) error {
		var l Left
		err := rows.Scan(&l.Subscription, &l.retired, &l.Events, &l.Retrying, &l.Blocked, &l.DeadLetters)
		if !l.none() {
			left = append(left, l)
		}
		return err
	})
	return left, err
}
