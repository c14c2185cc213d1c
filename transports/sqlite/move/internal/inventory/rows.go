package inventory

// Columns of events and delayed events without the numbers that are valid in a single file only.
const (
	EventColumns   = `id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, metadata, data`
	DelayedColumns = `due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data, metadata, name`

	CancelledColumns = `event_id, due_at, cancelled_at, type, source, key, name, correlation_id, causation_id, subscription`

	insertRelay = `INSERT INTO main.subscriptions (name, kind, types, except_of, start_seq, cursor) `
)

// ChooseEvents are the statements that choose the events for a new journal. temp.map maps the old numbers of the events
// (a) to the new numbers (b), in order; temp.subs has the moving subscriptions. ?1 are the modules.
//
// A moving subscription needs all events that the subscription consumes, even handled events: the new journal will
// receive these events again, and must recognize them. The new journal also needs the events that a moving row refers
// to, and all events that the modules emitted: once the modules run elsewhere, the old journal's relay never sends or
// resends these events.
var ChooseEvents = []string{
	`CREATE TEMP TABLE subs AS SELECT s.id, s.name, s.types FROM a.subscriptions s WHERE s.kind = 'bus' AND ` + OfMoving,
	`CREATE TEMP TABLE map (b INTEGER PRIMARY KEY, a INTEGER NOT NULL UNIQUE)`, `
INSERT INTO temp.map (a) SELECT e.seq FROM a.events e
WHERE e.type IN (SELECT t.value FROM temp.subs s, json_each(s.types) t)
   OR e.source IN (SELECT value FROM json_each(?1))
   OR e.seq IN (SELECT seq FROM a.deliveries WHERE subscription IN (SELECT id FROM temp.subs))
   OR e.seq IN (SELECT seq FROM a.pending WHERE subscription IN (SELECT id FROM temp.subs))
   OR e.seq IN (SELECT seq FROM a.dead_letters WHERE subscription IN (SELECT id FROM temp.subs))
   OR e.seq IN (SELECT seq FROM a.records WHERE subscription IN (SELECT id FROM temp.subs))
ORDER BY e.seq`,
}

// CopyRows are the statements that copy the moving rows into a new journal; only the numbers of events change. A cursor
// becomes the last event of the new journal up to the old cursor, so it never runs ahead.
var CopyRows = []string{
	`INSERT INTO main.events (seq, ` + EventColumns + `) SELECT m.b, ` + EventContent + ` FROM temp.map m CROSS JOIN a.events e ON e.seq = m.a ORDER BY m.b`, `
INSERT INTO main.subscriptions (id, name, kind, types, except_of, start_seq, cursor, ` + SubscriptionColumns + `)
SELECT s.id, s.name, s.kind, s.types, s.except_of, ` + upTo("s.start_seq") + `, ` + upTo("s.cursor") + `, ` + SubscriptionColumns + `
FROM a.subscriptions s WHERE s.id IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.type_starts SELECT * FROM a.type_starts WHERE subscription IN (SELECT id FROM temp.subs)`,
	insertRelay + `SELECT 'relay', 'group', '[]', 1, ` + upTo(relayAt("a", "start_seq")) + `, ` + upTo(relayAt("a", "cursor")),
	`INSERT INTO main.deliveries (seq, subscription, ` + DeliveryColumns + `) SELECT m.b, d.subscription, ` + DeliveryColumns + `
FROM a.deliveries d JOIN temp.map m ON m.a = d.seq WHERE d.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.pending (subscription, key, seq, state, attempts, due_at, failed_at) SELECT p.subscription, p.key, m.b, p.state, p.attempts, p.due_at, p.failed_at
FROM a.pending p JOIN temp.map m ON m.a = p.seq WHERE p.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.dead_letters (id, seq, subscription, ` + LetterColumns + `) SELECT l.id, m.b, l.subscription, ` + LetterColumns + `
FROM a.dead_letters l JOIN temp.map m ON m.a = l.seq WHERE l.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.acts SELECT x.* FROM a.acts x JOIN a.dead_letters l ON l.id = x.dead_letter WHERE l.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.open_acts (id, at, actor, act, seq, subscription, reason) SELECT x.id, x.at, x.actor, x.act, m.b, x.subscription, x.reason
FROM a.open_acts x JOIN temp.map m ON m.a = x.seq WHERE x.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.records (id, seq, subscription) SELECT r.id, m.b, r.subscription
FROM a.records r JOIN temp.map m ON m.a = r.seq WHERE r.subscription IN (SELECT id FROM temp.subs)`,
	`INSERT INTO main.delayed SELECT * FROM a.delayed WHERE source IN (SELECT value FROM json_each(?1))`,
	`INSERT INTO main.requests SELECT * FROM a.requests WHERE module IN (SELECT value FROM json_each(?1))`,
	`INSERT INTO main.schedules SELECT s.* FROM a.schedules s WHERE ` + OfMoving,
	`INSERT INTO main.cancelled SELECT * FROM a.cancelled WHERE source IN (SELECT value FROM json_each(?1))`,
	`DELETE FROM main.sqlite_sequence WHERE name <> 'events'`, // never use an id again that people may have seen
	`INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM a.sqlite_sequence WHERE name IN ('dead_letters', 'acts', 'open_acts', 'delayed', 'cancelled', 'records')`,
	`INSERT INTO main.migrations SELECT * FROM a.migrations WHERE module IN (SELECT value FROM json_each(?1))`,
	`INSERT INTO main.program SELECT * FROM a.program`,
}

// upTo returns the SQL for the number of the last event in the new journal up to the number that column has in the old
// journal.
func upTo(column string) string {
	return `coalesce((SELECT b FROM temp.map WHERE a <= ` + column + ` ORDER BY a DESC LIMIT 1), 0)`
}

const leaving = `(SELECT s.id FROM main.subscriptions s WHERE s.kind = 'bus' AND ` + OfMoving + `)`

// DeleteRows are the statements that delete the rows of the modules from the journal. All events stay.
var DeleteRows = []string{
	insertRelay + `SELECT 'relay', 'group', '[]', 1, at, at FROM (SELECT ` + relayAt("main", "cursor") + ` AS at) WHERE true ON CONFLICT (name) DO NOTHING`,
	`DELETE FROM main.acts WHERE dead_letter IN (SELECT id FROM main.dead_letters WHERE subscription IN ` + leaving + `)`,
	`DELETE FROM main.open_acts WHERE subscription IN ` + leaving,
	`DELETE FROM main.dead_letters WHERE subscription IN ` + leaving,
	`DELETE FROM main.pending WHERE subscription IN ` + leaving,
	`DELETE FROM main.records WHERE subscription IN ` + leaving,
	`DELETE FROM main.deliveries WHERE subscription IN ` + leaving,
	`DELETE FROM main.type_starts WHERE subscription IN ` + leaving,
	`DELETE FROM main.subscriptions WHERE id IN ` + leaving,
	`DELETE FROM main.delayed WHERE source IN (SELECT value FROM json_each(?1))`,
	`DELETE FROM main.requests WHERE module IN (SELECT value FROM json_each(?1))`,
	`DELETE FROM main.schedules AS s WHERE ` + OfMoving,
	`DELETE FROM main.cancelled WHERE source IN (SELECT value FROM json_each(?1))`,
	`DELETE FROM main.migrations WHERE module IN (SELECT value FROM json_each(?1))`,
}

// MapEvents are the statements that find the events of the other journal in this journal. temp.map maps the number of
// an event in the other journal (b) to its number in this journal (a), which is NULL for an event that is new here.
var MapEvents = []string{
	`CREATE TEMP TABLE map (b INTEGER PRIMARY KEY, a INTEGER)`,
	`INSERT INTO temp.map (b, a) SELECT o.seq, e.seq FROM b.events o LEFT JOIN main.events e ON e.id = o.id AND e.type = o.type`,
	`CREATE INDEX temp.map_a ON map (a)`,
	`CREATE TEMP TABLE fresh AS SELECT b FROM temp.map WHERE a IS NULL`,
}

// Differs finds an event that the two journals have with different content. The metadata (which a transport may add)
// and the time (when a transport took the event) may differ.
const Differs = `
SELECT e.type || ' ' || e.id FROM temp.map m JOIN b.events o ON o.seq = m.b JOIN main.events e ON e.seq = m.a
WHERE (e.version, e.source, e.key, e.correlation_id, e.causation_id, e.subscription, e.hops, e.data)
   <> (o.version, o.source, o.key, o.correlation_id, o.causation_id, o.subscription, o.hops, o.data) LIMIT 1`
