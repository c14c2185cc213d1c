package move

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/answers"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/fromnow"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

const (
	waitingHere = `main.subscriptions s CROSS JOIN main.events e ON e.type IN (SELECT value FROM json_each(s.types)) WHERE ` + inventory.IsWaiting
	comingHere  = `main.subscriptions s, json_each(s.types) t JOIN b.events e ON e.type = t.value
WHERE s.kind = 'bus' AND s.except_of = 0 AND e.seq IN (SELECT b FROM temp.fresh)`

	// skippedNow are the columns of an answer without an attempt; %d is the time when the merge began.
	skippedNow = `'skipped', 0, %d, 0`
)

// predict computes m.expected, the sums that the journal must have after the merge.
func (m *merge) predict(ctx context.Context) error {
	if err := cmp.Or(m.a.Run(ctx, dbfile.Stmt(fromnow.Begins)), m.a.RunAll(ctx, answers.Choose, m.Modules)); err != nil {
		return err
	}
	e := &m.expected
	e.moved, e.stayed = inventory.Part{}, inventory.Part{}
	for name, sum := range m.other.Moving {
		if name != inventory.ToSend && name != inventory.PassedOver && name != inventory.Waiting {
			e.moved[name] = sum
		}
	}
	for name, sum := range m.before.Staying {
		if name != inventory.Waiting {
			e.stayed[name] = sum
		}
	}
	e.moved[inventory.Emitted] = m.before.Moving[inventory.Emitted]
	waits := `SELECT count(*), digest(s.name, e.id, e.type) FROM `
	skips := `SELECT count(*), digest(s.name, e.id, e.type, ` + m.skipped() + `, NULL) FROM `
	for _, more := range []struct {
		to          inventory.Part
		name, query string
	}{
		{e.stayed, inventory.Events, `SELECT count(*), digest(` + inventory.EventContent + `) FROM b.events e WHERE e.seq IN (SELECT b FROM temp.fresh)`},
		{e.stayed, inventory.Waiting, waits + waitingHere + ` AND NOT ` + fromnow.TooOldHere + ` AND NOT ` + answers.IsAnswered},
		{e.stayed, inventory.Waiting, waits + comingHere + ` AND NOT ` + fromnow.TooOld + ` AND NOT ` + answers.ComesAnswered},
		{e.stayed, inventory.PassedOver, skips + waitingHere + ` AND ` + fromnow.TooOldHere},
		{e.stayed, inventory.PassedOver, skips + comingHere + ` AND ` + fromnow.TooOld},
		{e.moved, inventory.Emitted, `
SELECT count(*), digest(` + inventory.EventContent + `) FROM b.events e WHERE e.seq IN (SELECT b FROM temp.fresh) AND e.source IN (SELECT value FROM json_each(?1))`},
		{e.moved, inventory.Waiting, `
SELECT count(*), digest(o.name, x.id, x.type) FROM b.subscriptions o CROSS JOIN b.events x ON x.type IN (SELECT value FROM json_each(o.types))
WHERE o.kind = 'bus' AND o.except_of = 0 AND o.name NOT LIKE 'bus/%' AND x.seq > o.cursor AND NOT (` + fromnow.PastThere + `)
AND NOT EXISTS (SELECT 1 FROM b.deliveries d WHERE d.seq = x.seq AND d.subscription = o.id)`},
		{e.moved, inventory.Waiting, `
SELECT count(*), digest(o.name, e.id, e.type) FROM b.subscriptions o, json_each(o.types) t JOIN main.events e ON e.type = t.value
WHERE o.kind = 'bus' AND o.except_of = 0 AND o.name NOT LIKE 'bus/%' AND e.seq NOT IN (SELECT a FROM temp.map WHERE a IS NOT NULL) AND NOT (` + fromnow.Past + `)`},
	} {
		sum, err := m.a.Sum(ctx, more.query, m.Modules)
		if err != nil {
			return err
		}
		more.to[more.name] = more.to[more.name].Plus(sum)
	}
	return answers.Predict(ctx, m.a, e.stayed)
}

// skipped returns the columns of an answer without an attempt.
func (m *merge) skipped() string { return fmt.Sprintf(skippedNow, m.proof.At.UnixMicro()) }

// skipOld returns the statements that answer the events from before the start of the journal's own subscriptions as
// skipped.
func (m *merge) skipOld() []string {
	insert := `INSERT INTO main.deliveries (seq, subscription, outcome, attempts, started_at, duration) SELECT e.seq, s.id, ` + m.skipped() + ` FROM `
	return []string{
		insert + waitingHere + ` AND ` + fromnow.TooOldHere + ` AND e.seq NOT IN (SELECT m.a FROM temp.map m JOIN temp.fresh f ON f.b = m.b) AND NOT ` + inventory.OfMoving,
		insert + waitingHere + ` AND ` + fromnow.TooOld + ` AND e.seq IN (SELECT m.a FROM temp.map m JOIN temp.fresh f ON f.b = m.b) AND NOT ` + inventory.OfMoving,
	}
}

// come are the statements that copy the rows of the modules into the journal. Events that are new here are appended in
// their order: the subscriptions here receive the events, and the relay sends them. temp.subs maps the ids of
// subscriptions in the other journal (b) to their ids here (a).
var come = []string{
	`INSERT INTO main.events (` + inventory.EventColumns + `) SELECT ` + inventory.EventContent + ` FROM b.events e WHERE e.seq IN (SELECT b FROM temp.fresh) ORDER BY e.seq`,
	`UPDATE temp.map SET a = (SELECT e.seq FROM b.events o JOIN main.events e ON e.id = o.id AND e.type = o.type WHERE o.seq = map.b) WHERE a IS NULL`,
	// Ids that are free here are kept, and are inserted first.
	`INSERT INTO main.subscriptions (id, name, kind, types, except_of, start_seq, cursor, ` + inventory.SubscriptionColumns + `)
SELECT s.id, s.name, s.kind, s.types, s.except_of, 0, 0, ` + inventory.SubscriptionColumns + ` FROM b.subscriptions s
WHERE ` + arrives + ` AND s.id NOT IN (SELECT id FROM main.subscriptions)`,
	`INSERT INTO main.subscriptions (name, kind, types, except_of, start_seq, cursor, ` + inventory.SubscriptionColumns + `)
SELECT s.name, s.kind, s.types, s.except_of, 0, 0, ` + inventory.SubscriptionColumns + ` FROM b.subscriptions s
WHERE ` + arrives + ` AND s.name NOT IN (SELECT name FROM main.subscriptions)`,
	`CREATE TEMP TABLE subs AS SELECT s.id AS b, i.id AS a FROM b.subscriptions s JOIN main.subscriptions i ON i.name = s.name WHERE ` + arrives,
	`INSERT INTO main.type_starts SELECT i.a, t.type, t.since FROM b.type_starts t JOIN temp.subs i ON i.b = t.subscription`,
	`INSERT INTO main.deliveries (seq, subscription, ` + inventory.DeliveryColumns + `) SELECT m.a, i.a, ` + inventory.DeliveryColumns + `
FROM b.deliveries d JOIN temp.map m ON m.b = d.seq JOIN temp.subs i ON i.b = d.subscription`,
	`INSERT INTO main.pending (subscription, key, seq, state, attempts, due_at, failed_at) SELECT i.a, p.key, m.a, p.state, p.attempts, p.due_at, p.failed_at
FROM b.pending p JOIN temp.map m ON m.b = p.seq JOIN temp.subs i ON i.b = p.subscription`,
	`CREATE TEMP TABLE letters AS SELECT l.id AS b, l.id IN (SELECT id FROM main.dead_letters) AS taken FROM b.dead_letters l JOIN temp.subs i ON i.b = l.subscription`,
	`INSERT INTO main.dead_letters (id, seq, subscription, ` + inventory.LetterColumns + `) SELECT l.id, m.a, i.a, ` + inventory.LetterColumns + `
FROM b.dead_letters l JOIN temp.letters x ON x.b = l.id JOIN temp.map m ON m.b = l.seq JOIN temp.subs i ON i.b = l.subscription WHERE NOT x.taken`,
	`INSERT INTO main.dead_letters (seq, subscription, ` + inventory.LetterColumns + `) SELECT m.a, i.a, ` + inventory.LetterColumns + `
FROM b.dead_letters l JOIN temp.letters x ON x.b = l.id JOIN temp.map m ON m.b = l.seq JOIN temp.subs i ON i.b = l.subscription WHERE x.taken ORDER BY l.id`,
	`INSERT INTO main.acts (at, actor, act, dead_letter, reason) SELECT x.at, x.actor, x.act, l.id, x.reason
FROM b.acts x JOIN b.dead_letters o ON o.id = x.dead_letter JOIN temp.map m ON m.b = o.seq JOIN temp.subs i ON i.b = o.subscription
JOIN main.dead_letters l ON l.seq = m.a AND l.subscription = i.a ORDER BY x.id`,
	`INSERT INTO main.open_acts (at, actor, act, seq, subscription, reason) SELECT x.at, x.actor, x.act, m.a, i.a, x.reason
FROM b.open_acts x JOIN temp.map m ON m.b = x.seq JOIN temp.subs i ON i.b = x.subscription ORDER BY x.id`,
	`INSERT INTO main.records (seq, subscription) SELECT m.a, i.a
FROM b.records r JOIN temp.map m ON m.b = r.seq JOIN temp.subs i ON i.b = r.subscription ORDER BY r.id`,
	`INSERT INTO main.delayed (` + inventory.DelayedColumns + `) SELECT ` + inventory.DelayedColumns + ` FROM b.delayed WHERE source IN (SELECT value FROM json_each(?1)) ORDER BY id`,
	`INSERT INTO main.requests SELECT * FROM b.requests WHERE module IN (SELECT value FROM json_each(?1))`,
	`INSERT INTO main.schedules SELECT s.* FROM b.schedules s WHERE ` + inventory.OfMoving + ` ON CONFLICT (name) DO UPDATE
SET last_at = max(last_at, excluded.last_at), next_at = max(next_at, excluded.next_at)`,
	`INSERT INTO main.cancelled (` + inventory.CancelledColumns + `) SELECT ` + inventory.CancelledColumns + ` FROM b.cancelled WHERE source IN (SELECT value FROM json_each(?1)) ORDER BY id`,
	`INSERT INTO main.migrations SELECT * FROM b.migrations WHERE module IN (SELECT value FROM json_each(?1))`,
}

const arrives = `s.kind = 'bus' AND ` + inventory.OfMoving

// positions are the statements that set the positions of subscriptions and relay.
//
// A subscription that began with new events only starts before the first event that the subscription must handle.
// Events after that start that the subscription must not handle are answered as skipped, without an attempt. The cursor
// goes before the first event without an answer.
var positions = []string{
	`CREATE TEMP TABLE past AS SELECT i.a AS subscription, e.seq FROM temp.subs i JOIN b.subscriptions o ON o.id = i.b, json_each(o.types) t
JOIN main.events e ON e.type = t.value WHERE ` + fromnow.Past,
	`UPDATE main.subscriptions AS s SET start_seq = coalesce((
	SELECT min(e.seq) - 1 FROM main.events e WHERE e.type IN (SELECT value FROM json_each(s.types))
	AND NOT EXISTS (SELECT 1 FROM temp.past p WHERE p.subscription = s.id AND p.seq = e.seq)), (SELECT max(seq) FROM main.events), 0), cursor = ` + inventory.LastSeq + `
WHERE s.id IN (SELECT i.a FROM temp.subs i JOIN b.subscriptions o ON o.id = i.b WHERE o.start_seq > 0 OR o.since > 0)`,
	`INSERT INTO main.deliveries (seq, subscription, outcome, attempts, started_at, duration)
SELECT p.seq, p.subscription, 'skipped', 0, CAST(unixepoch('subsec') * 1000000 AS INTEGER), 0 FROM temp.past p JOIN main.subscriptions s ON s.id = p.subscription
WHERE p.seq > s.start_seq ON CONFLICT DO NOTHING`,
	`UPDATE main.subscriptions AS s SET cursor = coalesce((
	SELECT min(e.seq) - 1 FROM main.events e WHERE e.seq > s.start_seq AND e.type IN (SELECT value FROM json_each(s.types))
	AND NOT EXISTS (SELECT 1 FROM main.deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)), ` + inventory.LastSeq + `)
WHERE s.id IN (SELECT a FROM temp.subs)`,
	// All events that the other journal sent can be resent from here, even if the relay here began later.
	`UPDATE main.subscriptions SET start_seq = min(start_seq, sent) FROM (
	SELECT min(m.a) - 1 AS sent FROM temp.map m JOIN b.events e ON e.seq = m.b WHERE e.source IN (SELECT value FROM json_each(?1))
	AND e.seq > coalesce((SELECT start_seq FROM b.subscriptions WHERE kind = 'group' AND name = 'relay'), 0))
WHERE kind = 'group' AND name = 'relay' AND sent IS NOT NULL`,
	// The relay here sends the events of the modules that the other journal has not sent, even where they lie before the
	// relay's cursor since a split. Some other events are sent twice: readers drop the second copy.
	`UPDATE main.subscriptions SET cursor = min(cursor, unsent), start_seq = min(start_seq, unsent) FROM (
	SELECT min(m.a) - 1 AS unsent FROM temp.map m JOIN b.events e ON e.seq = m.b WHERE e.source IN (SELECT value FROM json_each(?1))
	AND e.seq > coalesce((SELECT cursor FROM b.subscriptions WHERE kind = 'group' AND name = 'relay'), 0))
WHERE kind = 'group' AND name = 'relay' AND unsent IS NOT NULL`,
	// Under its old identity, this journal has read and dropped the events that only the merged modules consume. Under a
	// new identity, the ingest reads the topics from their start, and drops the events that are known already.
	`UPDATE main.identity SET id = lower(hex(randomblob(8)))`,
}

// come copies the modules into the journal, in the open transaction.
func (m *merge) come(ctx context.Context) error {
	if err := m.a.RunAll(ctx, inventory.MapEvents, m.Modules); err != nil {
		return err
	}
	if found, err := m.a.Texts(ctx, inventory.Differs); err != nil || len(found) > 0 {
		return dbfile.OrErrorf(err, "%w: event %v is another one in each of the journals: they do not belong together", ErrModules, found)
	}
	if err := m.predict(ctx); err != nil {
		return err
	}
	for _, name := range m.Modules {
		if err := inventory.LetIn(ctx, m.a, name); err != nil {
			return err
		}
	}
	noting, err := m.a.Texts(ctx, `SELECT sql FROM main.sqlite_schema WHERE `+inventory.IsRecordTrigger)
	if err != nil {
		return err
	}
	names, err := m.a.Texts(ctx, `SELECT name FROM main.sqlite_schema WHERE `+inventory.IsRecordTrigger)
	if err != nil {
		return err
	}
	for _, name := range names { // the other journal has made the records of the rows that come
		if err := m.a.Run(ctx, dbfile.Stmt("DROP TRIGGER main."+inventory.Quote(name))); err != nil {
			return err
		}
	}
	if err := m.a.RunAll(ctx, slices.Concat(come, positions, m.skipOld(), answers.Copy), m.Modules); err != nil {
		return err
	}
	if len(noting) > 0 {
		noting = append(noting, answers.SendRecords)
	}
	for _, text := range noting {
		if err := m.a.Run(ctx, dbfile.Stmt(text)); err != nil {
			return err
		}
	}
	objects, err := inventory.Objects(ctx, m.a, "b")
	if err != nil {
		return err
	}
	return inventory.CopyObjects(ctx, m.a, "b", inventory.OfModules(objects, m.Modules, m.Modules))
}
