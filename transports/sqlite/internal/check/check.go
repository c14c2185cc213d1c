// Package check tests the rules that hold in every journal.
package check

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// checkLimit is the number of violations of one rule that are listed.
const checkLimit = 20

// rule holds in every journal at every instant. The query returns a line of text for each violation. A query with
// :after and :upto looks at a part of the log.
type rule struct{ name, query string }

func (r rule) paged() bool { return strings.Contains(r.query, ":after") }

// named has the rows of a subscription under each of its names: the subscription, and its former runs.
const named = `
WITH n AS MATERIALIZED (
	SELECT name, id FROM subscriptions UNION SELECT run_of, id FROM subscriptions WHERE run_of <> ''
	UNION SELECT w.value, s.id FROM subscriptions s, json_each(s.was) w)`

var rules = []rule{
	// Subscriptions to all types except some are left out: the exceptions change with the modules of a program.
	{"every event up to a subscription's cursor that it wants has its record", `
WITH s AS MATERIALIZED (
	SELECT s.id, s.name, s.start_seq, s.cursor, t.value AS type FROM subscriptions s JOIN json_each(s.types) t WHERE s.kind = 'bus' AND s.except_of = 0)
SELECT 'event ' || e.seq || ' (' || e.type || ' ' || e.id || ') was passed by ' || s.name || ' without a record'
FROM events e CROSS JOIN s ON s.type = e.type
WHERE e.seq > :after AND e.seq <= :upto AND e.seq > s.start_seq AND e.seq <= s.cursor
  AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id) ORDER BY e.seq`},

	{"no cursor is ahead of the log", `
SELECT 'the cursor of ' || name || ' is at ' || cursor || ', the log ends at ' || head
FROM subscriptions, (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) AS head) WHERE cursor > head`},

	{"every delivery is of an event and of a subscription", `
SELECT 'a delivery is recorded of event ' || d.seq || ' by subscription ' || d.subscription || ', one of which there is not'
FROM deliveries d WHERE d.seq > :after AND d.seq <= :upto
  AND (NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = d.seq) OR NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.id = d.subscription))`},

	{"what is open is pending, and in the same state", `
SELECT 'the delivery of event ' || d.seq || ' by ' || s.name || ' is ' || d.outcome || ', but ' || coalesce('it is pending as ' || p.state, 'not pending')
FROM deliveries d CROSS JOIN subscriptions s ON s.id = d.subscription CROSS JOIN events e ON e.seq = d.seq
LEFT JOIN pending p ON p.subscription = d.subscription AND p.key = e.key AND p.seq = d.seq
WHERE d.seq > :after AND d.seq <= :upto AND d.outcome IN ('retrying', 'blocked') AND p.state IS NOT d.outcome`},

	{"what is pending is open, or a dead letter that parks its key", `
SELECT 'event ' || p.seq || ' is pending as ' || p.state || ' for subscription ' || p.subscription || ' and key ''' || p.key || ''', but '
    || coalesce('its delivery is ' || d.outcome, 'it has no delivery') || CASE WHEN e.key IS NOT p.key THEN ', and its key is another one' ELSE '' END
FROM pending p LEFT JOIN deliveries d ON d.seq = p.seq AND d.subscription = p.subscription LEFT JOIN events e ON e.seq = p.seq
WHERE d.outcome IS NOT CASE p.state WHEN 'parked' THEN 'dead' ELSE p.state END OR e.key IS NOT p.key`},

	{"every dead delivery is a dead letter", `
SELECT 'the delivery of event ' || d.seq || ' by ' || s.name || ' is dead, but there is no dead letter of it'
FROM deliveries d CROSS JOIN subscriptions s ON s.id = d.subscription
WHERE d.seq > :after AND d.seq <= :upto AND d.outcome = 'dead' AND NOT EXISTS (SELECT 1 FROM dead_letters l WHERE l.subscription = d.subscription AND l.seq = d.seq)`},

	{"a dead letter and its delivery tell the same", `
SELECT 'dead letter ' || l.id || ' is ' || l.status || ', but ' || coalesce('its delivery is ' || d.outcome, 'it has no delivery')
FROM dead_letters l LEFT JOIN deliveries d ON d.seq = l.seq AND d.subscription = l.subscription
WHERE d.seq IS NULL OR NOT CASE l.status
	WHEN 'dead' THEN d.outcome = 'dead'
	WHEN 'replaying' THEN d.outcome IN ('retrying', 'blocked')
	WHEN 'replayed' THEN d.outcome IN ('done', 'skipped')
	ELSE d.outcome = 'dropped' END`},

	{"what a reaction emitted comes from one that is done", named + `
SELECT 'event ' || e.seq || ' (' || e.type || ' ' || e.id || ') was emitted by ' || e.subscription || ', whose reaction to ' || e.causation_id || ' is not recorded as done'
FROM events e WHERE e.seq > :after AND e.seq <= :upto AND EXISTS (SELECT 1 FROM n WHERE n.name = e.subscription)
  AND NOT EXISTS (SELECT 1 FROM events c JOIN deliveries d ON d.seq = c.seq JOIN n ON n.id = d.subscription
    WHERE c.id = e.causation_id AND n.name = e.subscription AND d.outcome = 'done')
  AND EXISTS (SELECT 1 FROM events c WHERE c.id = e.causation_id)`},

	{"every row refers to one that there is", `
SELECT 'a row of ' || "table" || ' (rowid ' || coalesce(rowid, '?') || ') refers to one of ' || parent || ' that is not there' FROM pragma_foreign_key_check`},
}

// sound names the check of SQLite for each table, in a transaction of its own.
const (
	sound       = "the file is sound"
	selectSound = `SELECT 'the file is damaged: ' || quick_check FROM pragma_quick_check(?) WHERE quick_check <> 'ok'`
	allTables   = `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`
)

// Run tests the rules, and returns a line for each violation. view runs a function in a read-only transaction, and
// observes reports whether the journal is an observer's. progress receives the object of the check, and how much of
// it is done.
func Run(
	ctx context.Context, view func(context.Context, func(*sql.Tx) error) error,
	observes func(context.Context, *sql.Tx) (bool, error), progress func(what string, done, of int64),
) ([]string, error) {
	c := &check{found: make([][]string, len(rules)+1), more: make([]int, len(rules)+1)}
	var head int64
	var tables []string
	err := view(ctx, func(tx *sql.Tx) (err error) {
		if c.observed, err = observes(ctx, tx); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&head); err != nil {
			return row.Explain(err)
		}
		if err := row.Each(ctx, tx, row.SQL(allTables), func(rows *sql.Rows) error {
			tables = append(tables, "")
			return rows.Scan(&tables[len(tables)-1])
		}); err != nil {
			return err
		}
		return c.rules(ctx, tx, func(r rule) bool { return !r.paged() })
	})
	for after, upto := int64(0), int64(0); upto < math.MaxInt64 && err == nil; after = upto {
		progress("the log", after, head)
		if upto = after + pageCheck; upto >= head {
			upto = math.MaxInt64 // a delivery may refer to an event that does not exist
		}
		part := []any{sql.Named("after", after), sql.Named("upto", upto)}
		err = view(ctx, func(tx *sql.Tx) error { return c.rules(ctx, tx, rule.paged, part...) })
	}
	for i, table := range tables {
		if err != nil {
			break
		}
		progress("the tables of the file ("+table+")", int64(i), int64(len(tables)))
		err = view(ctx, func(tx *sql.Tx) error { return c.violations(ctx, tx, len(rules), rule{sound, selectSound}, table) })
	}
	return c.lines(), err
}

// pageCheck is the number of seqs that one transaction checks.
const pageCheck = 4 * count.BlockSize

// check has the violations by rule.
type check struct {
	observed bool
	found    [][]string
	more     []int
}

// rules checks some of the rules, in the part of the log that args name.
func (c *check) rules(ctx context.Context, tx *sql.Tx, which func(rule) bool, args ...any) error {
	for i, rule := range rules {
		if c.observed && rule.name == emission {
			rule = observedEmission
		}
		if !which(rule) {
			continue
		}
		if err := c.violations(ctx, tx, i, rule, args...); err != nil {
			return err
		}
	}
	return nil
}

// violations keeps the first violations of r, and the number of the others.
func (c *check) violations(ctx context.Context, tx *sql.Tx, i int, r rule, args ...any) error {
	err := row.Each(ctx, tx, row.SQL(r.query, args...), func(rows *sql.Rows) error {
		if len(c.found[i]) >= checkLimit {
			c.more[i]++
			return nil
		}
		var line string
		err := rows.Scan(&line)
		c.found[i] = append(c.found[i], line)
		return err
	})
	if err != nil {
		return fmt.Errorf("check that %s: %w", r.name, err)
	}
	return nil
}

// lines returns the violations as text.
func (c *check) lines() []string {
	lines := []string{}
	for i, found := range c.found {
		lines = append(lines, found...)
		if c.more[i] > 0 {
			name := sound
			if i < len(rules) {
				name = rules[i].name
			}
			lines = append(lines, fmt.Sprintf("and %d more times not so: %s", c.more[i], name))
		}
	}
	return lines
}

// An observer may receive an event before the record of the reaction that emitted the event, also shortly after a
// record that the reaction is dead: a person replayed the dead letter. But a skipped or dropped delivery emits no
// event.
var observedEmission = rule{"what a reaction emitted comes from one that is done, as far as is known", named + `
SELECT 'event ' || e.seq || ' (' || e.type || ' ' || e.id || ') was emitted by ' || e.subscription || ', whose reaction to ' || e.causation_id || ' is recorded as ' || d.outcome
FROM events e CROSS JOIN n ON n.name = e.subscription CROSS JOIN events c ON c.id = e.causation_id
CROSS JOIN deliveries d ON d.seq = c.seq AND d.subscription = n.id WHERE e.seq > :after AND e.seq <= :upto AND d.outcome IN ('skipped', 'dropped')
  AND NOT EXISTS (SELECT 1 FROM n o JOIN deliveries x ON x.subscription = o.id WHERE o.name = e.subscription AND x.seq = c.seq AND x.outcome NOT IN ('skipped', 'dropped'))`}

// emission is the name of the same rule for journals on which reactions run.
const emission = "what a reaction emitted comes from one that is done"
