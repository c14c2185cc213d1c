package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// checkLimit is how many violations of one rule are told one by one.
const checkLimit = 20

// rule is something that holds in every journal at every instant. Its query returns a line of text for each violation.
type rule struct{ name, query string }

var rules = []rule{
	// A subscription to all types but some is left out: which those are changes with the modules that a program runs.
	{"every event up to a subscription's cursor that it wants has its record", `
SELECT 'event ' || e.seq || ' (' || e.type || ' ' || e.id || ') was passed by ' || s.name || ' without a record'
FROM subscriptions s JOIN json_each(s.types) t JOIN events e ON e.type = t.value AND e.seq > s.start_seq AND e.seq <= s.cursor
WHERE s.kind = 'bus' AND s.except_of = 0
  AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id) ORDER BY e.seq`},

	{"no cursor is ahead of the log", `
SELECT 'the cursor of ' || name || ' is at ' || cursor || ', the log ends at ' || head
FROM subscriptions, (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) AS head) WHERE cursor > head`},

	{"every delivery is of an event and of a subscription", `
SELECT 'a delivery is recorded of event ' || d.seq || ' by subscription ' || d.subscription || ', one of which there is not'
FROM deliveries d WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = d.seq) OR NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.id = d.subscription)`},

	{"what is open is pending, and in the same state", `
SELECT 'the delivery of event ' || d.seq || ' by ' || s.name || ' is ' || d.outcome || ', but ' || coalesce('it is pending as ' || p.state, 'not pending')
FROM deliveries d JOIN subscriptions s ON s.id = d.subscription JOIN events e ON e.seq = d.seq
LEFT JOIN pending p ON p.subscription = d.subscription AND p.key = e.key AND p.seq = d.seq
WHERE d.outcome IN ('retrying', 'blocked') AND p.state IS NOT d.outcome`},

	{"what is pending is open, or a dead letter that parks its key", `
SELECT 'event ' || p.seq || ' is pending as ' || p.state || ' for subscription ' || p.subscription || ' and key ''' || p.key || ''', but '
    || coalesce('its delivery is ' || d.outcome, 'it has no delivery') || CASE WHEN e.key IS NOT p.key THEN ', and its key is another one' ELSE '' END
FROM pending p LEFT JOIN deliveries d ON d.seq = p.seq AND d.subscription = p.subscription LEFT JOIN events e ON e.seq = p.seq
WHERE d.outcome IS NOT CASE p.state WHEN 'parked' THEN 'dead' ELSE p.state END OR e.key IS NOT p.key`},

	{"every dead delivery is a dead letter", `
SELECT 'the delivery of event ' || d.seq || ' by ' || s.name || ' is dead, but there is no dead letter of it'
FROM deliveries d JOIN subscriptions s ON s.id = d.subscription
WHERE d.outcome = 'dead' AND NOT EXISTS (SELECT 1 FROM dead_letters l WHERE l.subscription = d.subscription AND l.seq = d.seq)`},

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
FROM events e JOIN subscriptions s ON s.name = e.subscription
WHERE EXISTS (SELECT 1 FROM events c WHERE c.id = e.causation_id)
  AND NOT EXISTS (SELECT 1 FROM events c JOIN deliveries d ON d.seq = c.seq WHERE c.id = e.causation_id AND d.subscription = s.id AND d.outcome = 'done')`},

	{"every row refers to one that there is", `
SELECT 'a row of ' || "table" || ' (rowid ' || coalesce(rowid, '?') || ') refers to one of ' || parent || ' that is not there' FROM pragma_foreign_key_check`},

	{"the file is sound", `
SELECT 'the file is damaged: ' || quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'`},
}

// Check holds the journal against its own rules, and returns a line for everything that is wrong: nothing, unless
// somebody else changed the file, or the disk or this program made a mistake. It may run beside the owner, and reads
// the whole file.
func (r *Reader) Check(ctx context.Context) ([]string, error) {
	wrong := []string{}
	err := r.View(ctx, func(tx *sql.Tx) error {
		observed, err := Observes(ctx, tx)
		if err != nil {
			return fmt.Errorf("sqlite: check: %w", err)
		}
		for _, rule := range rules {
			if observed && rule.name == emission {
				rule = observedEmission
			}
			found, err := rule.violations(ctx, tx)
			if err != nil {
				return fmt.Errorf("sqlite: check that %s: %w", rule.name, explain(err))
			}
			wrong = append(wrong, found...)
		}
		return nil
	})
	return wrong, err
}

// violations tells the first of them, and how many more there are.
func (r rule) violations(ctx context.Context, q queryer) ([]string, error) {
	var found []string
	total := 0
	err := each(ctx, q, statement{query: r.query}, func(rows *sql.Rows) error {
		var line string
		if total++; total > checkLimit {
			return nil
		}
		err := rows.Scan(&line)
		found = append(found, line)
		return err
	})
	if total > checkLimit {
		found = append(found, fmt.Sprintf("and %d more times not so: %s", total-checkLimit, r.name))
	}
	return found, err
}
