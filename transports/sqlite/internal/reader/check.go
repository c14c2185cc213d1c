package reader

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// checkLimit is how many violations of one rule are told one by one.
const checkLimit = 20

// rule is something that holds in every journal at every instant. Its query returns a line of text for each
// violation: of all, or, where it speaks of :after and :upto, of those in that part of the log.
type rule struct{ name, query string }

func (r rule) paged() bool { return strings.Contains(r.query, ":after") }

var rules = []rule{
	// A subscription to all types but some is left out: which those are changes with the modules that a program runs.
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

	{"what a reaction emitted comes from one that is done", `
SELECT 'event ' || e.seq || ' (' || e.type || ' ' || e.id || ') was emitted by ' || e.subscription || ', whose reaction to ' || e.causation_id || ' is not recorded as done'
FROM events e CROSS JOIN subscriptions s ON s.name = e.subscription
WHERE e.seq > :after AND e.seq <= :upto
  AND NOT EXISTS (SELECT 1 FROM events c JOIN deliveries d ON d.seq = c.seq WHERE c.id = e.causation_id AND d.subscription = s.id AND d.outcome = 'done')
  AND EXISTS (SELECT 1 FROM events c WHERE c.id = e.causation_id)`},

	{"every row refers to one that there is", `
SELECT 'a row of ' || "table" || ' (rowid ' || coalesce(rowid, '?') || ') refers to one of ' || parent || ' that is not there' FROM pragma_foreign_key_check`},
}

// sound are the tables that SQLite is to look through, each in a transaction of its own.
const (
	sound       = "the file is sound"
	selectSound = `SELECT 'the file is damaged: ' || quick_check FROM pragma_quick_check(?) WHERE quick_check <> 'ok'`
	allTables   = `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`
)

// Check holds the journal against its own rules, and returns a line for everything that is wrong: nothing, unless
// somebody else changed the file, or the disk or this program made a mistake. It may run beside the owner, and reads
// the whole file: the log in parts, each in a transaction of its own.
func (r *Reader) Check(ctx context.Context) ([]string, error) {
	return r.CheckAloud(ctx, func(string, int64, int64) {})
}

// CheckAloud is Check, and calls progress with what it looks at, and how much of that is done.
func (r *Reader) CheckAloud(ctx context.Context, progress func(what string, done, of int64)) ([]string, error) {
	c := &check{found: make([][]string, len(rules)+1), more: make([]int, len(rules)+1)}
	var head int64
	var tables []string
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		if c.observed, err = Observes(ctx, tx); err != nil {
			return fmt.Errorf("sqlite: check: %w", err)
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
			upto = math.MaxInt64 // a delivery may be of what is not there
		}
		part := []any{sql.Named("after", after), sql.Named("upto", upto)}
		err = r.View(ctx, func(tx *sql.Tx) error { return c.rules(ctx, tx, rule.paged, part...) })
	}
	for i, table := range tables {
		if err != nil {
			break
		}
		progress("the tables of the file ("+table+")", int64(i), int64(len(tables)))
		err = r.View(ctx, func(tx *sql.Tx) error { return c.violations(ctx, tx, len(rules), rule{sound, selectSound}, table) })
	}
	return c.lines(), err
}

// pageCheck is how many numbers of the log are held against the rules in one transaction.
const pageCheck = 4 * count.BlockSize

// check is what was found, by rule.
type check struct {
	observed bool
	found    [][]string
	more     []int
}

// rules holds the journal, or the part of the log that args name, against some of the rules.
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

// violations keeps the first of them, and how many more there are.
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
		return fmt.Errorf("sqlite: check that %s: %w", r.name, err)
	}
	return nil
}

// lines tell what was found.
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
