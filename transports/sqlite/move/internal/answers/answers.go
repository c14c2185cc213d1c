// Package answers merges the answers of the bus's own subscriptions. The subscriptions bus/ingest, bus/relay and
// bus/unknown are in every journal and do not move. When two journals are merged, their answers from the other journal
// come along, with dead letters and the acts on dead letters: otherwise people would have to judge the same events
// again. Package move imports this package.
//
// When both journals have an answer to an event, the journal's own answer wins, unless the other answer settles more:
// done wins over all others, and an open answer over a dropped event, which was dropped in view of other modules. Acts
// are kept in any case, if there is a dead letter.
package answers

import (
	"context"
	"database/sql"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// Choose are the statements that choose the answers to copy, into temp.carried: the event's number (seq) and the
// subscription's id (there) in the other journal, the subscription's name and its id in this journal (here), and the
// event's number in this journal when the answer replaces an answer (replaces).
var Choose = []string{
	`CREATE TEMP TABLE made AS SELECT name FROM b.subscriptions WHERE kind = 'bus' AND name LIKE 'bus/%' AND name NOT IN (SELECT name FROM main.subscriptions)`,
	`INSERT INTO main.subscriptions (name, kind, types, except_of, start_seq, cursor, ` + inventory.SubscriptionColumns + `)
SELECT name, kind, types, except_of, 0, 0, ` + inventory.SubscriptionColumns + ` FROM b.subscriptions WHERE name IN (SELECT name FROM temp.made)`,
	`CREATE TEMP TABLE carried AS
SELECT d.seq, d.subscription AS there, o.name, i.id AS here, x.seq AS replaces
FROM b.subscriptions o CROSS JOIN b.deliveries d ON d.subscription = o.id JOIN main.subscriptions i ON i.name = o.name
JOIN temp.map m ON m.b = d.seq LEFT JOIN main.deliveries x ON x.seq = m.a AND x.subscription = i.id
WHERE o.kind = 'bus' AND o.name LIKE 'bus/%' AND (x.seq IS NULL OR ` + settles("d") + ` > ` + settles("x") + `)`,
	`CREATE INDEX temp.carried_seq ON carried (seq, there)`,
	`CREATE INDEX temp.carried_replaces ON carried (replaces, here)`,
}

// settles returns the SQL that ranks the answer of a delivery d: a higher rank settles more.
func settles(d string) string {
	return `CASE WHEN ` + d + `.outcome = 'done' THEN 3 WHEN ` + d + `.outcome IN ('dropped', 'skipped') THEN 1 ELSE 2 END`
}

const (
	isReplaced = `(x.seq, x.subscription) IN (SELECT replaces, here FROM temp.carried WHERE replaces IS NOT NULL)`
	isCarried  = `(x.seq, x.subscription) IN (SELECT seq, there FROM temp.carried)`

	// IsAnswered is true when an answer is copied for an event e and a subscription s of this journal.
	IsAnswered = `EXISTS (SELECT 1 FROM temp.map m JOIN temp.carried c ON c.seq = m.b WHERE m.a = e.seq AND c.here = s.id)`
	// ComesAnswered is true when an answer is copied for an event e of the other journal and a subscription s of this
	// journal.
	ComesAnswered = `EXISTS (SELECT 1 FROM temp.carried c WHERE c.seq = e.seq AND c.here = s.id)`

	// noLetter is true when a replaced answer x has a dead letter, and the copied answer has no dead letter.
	noLetter = `EXISTS (SELECT 1 FROM temp.carried c WHERE c.replaces = x.seq AND c.here = x.subscription
	AND NOT EXISTS (SELECT 1 FROM b.dead_letters l WHERE l.seq = c.seq AND l.subscription = c.there))`

	// letterStatus is the status of such a dead letter after the merge.
	letterStatus = `(SELECT CASE WHEN d.outcome = 'done' THEN 'replayed' ELSE 'replaying' END FROM temp.carried c
	JOIN b.deliveries d ON d.seq = c.seq AND d.subscription = c.there WHERE c.replaces = x.seq AND c.here = x.subscription)`

	// hasLetter is true when this journal has a dead letter for the acts on a dead letter l of the other journal.
	hasLetter = `(EXISTS (SELECT 1 FROM temp.carried c WHERE c.seq = l.seq AND c.there = l.subscription)
	OR EXISTS (SELECT 1 FROM temp.map m JOIN main.dead_letters h ON h.seq = m.a JOIN main.subscriptions i ON i.id = h.subscription
		WHERE m.b = l.seq AND i.name = o.name))`
)

// Copy are the statements that copy the chosen answers, after the events were copied.
var Copy = []string{
	`DELETE FROM main.pending AS x WHERE ` + isReplaced,
	`DELETE FROM main.deliveries AS x WHERE ` + isReplaced,
	`INSERT INTO main.deliveries (seq, subscription, ` + inventory.DeliveryColumns + `) SELECT m.a, c.here, ` + inventory.DeliveryColumns + `
FROM temp.carried c JOIN temp.map m ON m.b = c.seq JOIN b.deliveries d ON d.seq = c.seq AND d.subscription = c.there`,
	`INSERT INTO main.pending (subscription, key, seq, state, attempts, due_at, failed_at) SELECT c.here, p.key, m.a, p.state, p.attempts, p.due_at, p.failed_at
FROM temp.carried c JOIN temp.map m ON m.b = c.seq JOIN b.pending p ON p.seq = c.seq AND p.subscription = c.there`,
	`UPDATE main.dead_letters AS x SET status = ` + letterStatus + ` WHERE ` + noLetter,
	// Ids that are free here are kept, and are inserted first.
	`CREATE TEMP TABLE own_letters AS SELECT l.id, l.id IN (SELECT id FROM main.dead_letters) AS taken, m.a, c.here
FROM temp.carried c JOIN temp.map m ON m.b = c.seq JOIN b.dead_letters l ON l.seq = c.seq AND l.subscription = c.there`,
	putLetters(`l.id`, `NOT o.taken`),
	putLetters(`NULL`, `o.taken`),
	`INSERT INTO main.acts (at, actor, act, dead_letter, reason) SELECT x.at, x.actor, x.act, h.id, x.reason
FROM b.acts x JOIN b.dead_letters l ON l.id = x.dead_letter JOIN b.subscriptions o ON o.id = l.subscription AND o.kind = 'bus' AND o.name LIKE 'bus/%'
JOIN temp.map m ON m.b = l.seq JOIN main.subscriptions i ON i.name = o.name JOIN main.dead_letters h ON h.seq = m.a AND h.subscription = i.id ORDER BY x.id`,
	`UPDATE main.subscriptions AS s SET cursor = coalesce((
	SELECT min(e.seq) - 1 FROM main.events e WHERE e.type IN (SELECT value FROM json_each(s.types))
	AND NOT EXISTS (SELECT 1 FROM main.deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)), ` + inventory.LastSeq + `)
WHERE name IN (SELECT name FROM temp.made) AND except_of = 0`,
}

// putLetters returns the statement that copies the dead letters of the other journal that match where.
// id is the SQL for their ids: l.id keeps them, NULL gives new ids.
func putLetters(id, where string) string {
	return `INSERT INTO main.dead_letters (id, seq, subscription, ` + inventory.LetterColumns + `) SELECT ` + id + `, o.a, o.here, ` + inventory.LetterColumns + `
FROM temp.own_letters o JOIN b.dead_letters l ON l.id = o.id WHERE ` + where + ` ORDER BY l.id
ON CONFLICT (subscription, seq) DO UPDATE SET error = excluded.error, stack = excluded.stack, attempts = excluded.attempts,
	first_failed_at = excluded.first_failed_at, dead_at = excluded.dead_at, status = excluded.status`
}

// SendRecords makes records of the copied answers, for observers.
const SendRecords = `INSERT INTO main.records (seq, subscription) SELECT m.a, c.here FROM temp.carried c JOIN temp.map m ON m.b = c.seq ORDER BY m.a`

// Columns of the changes by the copied answers: the name of a sum, the number of rows, and their digest.
const (
	deliveryDigest = `CASE WHEN x.outcome = 'skipped' AND x.attempts = 0 THEN 'passed over' ELSE 'deliveries ' || x.outcome END AS name, count(*),
	digest(s.name, e.id, e.type, x.outcome, x.attempts, x.started_at, x.duration, x.error)`
	pendingDigest = `'pending ' || x.state, count(*), digest(s.name, x.key, e.id, e.type, x.state, x.attempts, x.due_at, x.failed_at)`
	letterDigest  = `'dead letters ' || x.status, count(*),
	digest(s.name, e.id, e.type, x.error, x.stack, x.attempts, x.first_failed_at, x.dead_at, x.status)`
)

// of joins a table of a schema, as x, with its subscriptions and events.
func of(schema, table, where string) string {
	return ` FROM ` + schema + `.` + table + ` x JOIN ` + schema + `.subscriptions s ON s.id = x.subscription JOIN ` + schema + `.events e ON e.seq = x.seq
WHERE ` + where
}

var (
	carriedGone = []string{
		`SELECT ` + deliveryDigest + of("main", "deliveries", isReplaced) + ` GROUP BY 1`,
		`SELECT ` + pendingDigest + of("main", "pending", isReplaced) + ` GROUP BY 1`,
		`SELECT ` + letterDigest + of("main", "dead_letters", isReplaced) + ` GROUP BY 1`,
	}
	carriedCome = []string{
		`SELECT ` + deliveryDigest + of("b", "deliveries", isCarried) + ` GROUP BY 1`,
		`SELECT ` + pendingDigest + of("b", "pending", isCarried) + ` GROUP BY 1`,
		`SELECT ` + letterDigest + of("b", "dead_letters", isCarried) + ` GROUP BY 1`,
		`SELECT ` + strings.ReplaceAll(letterDigest, "x.status", letterStatus) + of("main", "dead_letters", noLetter) + ` GROUP BY 1`,
		`SELECT 'acts on dead letters', count(*), digest(o.name, e.id, e.type, x.at, x.actor, x.act, x.reason)
FROM b.acts x JOIN b.dead_letters l ON l.id = x.dead_letter JOIN b.subscriptions o ON o.id = l.subscription JOIN b.events e ON e.seq = l.seq
WHERE o.kind = 'bus' AND o.name LIKE 'bus/%' AND ` + hasLetter,
		`SELECT 'subscriptions', count(*), digest(s.name, s.kind, s.types, s.except_of, ` + inventory.SubscriptionColumns + `)
FROM main.subscriptions s WHERE s.name IN (SELECT name FROM temp.made)`,
		`SELECT 'records to send', count(*), digest(c.name, e.id, e.type) FROM temp.carried c JOIN b.events e ON e.seq = c.seq
WHERE EXISTS (SELECT 1 FROM main.sqlite_schema WHERE ` + inventory.IsRecordTrigger + `)`,
	}
)

// Predict applies the changes of Copy to stayed, the sums that the journal is expected to have after the merge.
func Predict(ctx context.Context, a *dbfile.File, stayed inventory.Part) error {
	for _, change := range []struct {
		queries []string
		add     func(dbfile.Sum, dbfile.Sum) dbfile.Sum
	}{{carriedGone, dbfile.Sum.Minus}, {carriedCome, dbfile.Sum.Plus}} {
		for _, query := range change.queries {
			err := a.Each(ctx, dbfile.Stmt(query), func(rows *sql.Rows) error {
				var name string
				var sum dbfile.Sum
				if err := rows.Scan(&name, &sum.Rows, dbfile.ScanDigest(&sum)); err != nil {
					return err
				}
				stayed[name] = change.add(stayed[name], sum)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// OfBus returns the sums of the other journal's staying rows that a merge copies.
func OfBus(staying inventory.Part) inventory.Part {
	bus := inventory.Part{}
	for name, sum := range staying {
		for _, kind := range []string{"deliveries ", "pending ", "dead letters ", "acts "} {
			if strings.HasPrefix(name, kind) {
				bus[name] = sum
			}
		}
	}
	return bus
}
