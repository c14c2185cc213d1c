// Package fromnow says which events are too old for subscriptions that began with new events only, when two journals
// are merged. The conditions are SQL; ?1 is a JSON array of the modules that move. Package move imports this package.
package fromnow

// Past is true for an event e of this journal from before the start of the other journal's subscription o, when o, or
// the type in o, began with new events only. For an event in both journals, the position in the other journal's
// log decides; where the bus would compare the time (of an event from elsewhere: see bus, FromNow), the time decides.
// For all other events the time decides. The subscription of an older program has no time: the newest event before the
// start gives the time.
var Past = `(o.start_seq > 0 OR ` + since("e") + ` > 0) AND (
	   EXISTS (SELECT 1 FROM temp.map m JOIN b.events x ON x.seq = m.b WHERE m.a = e.seq AND (x.seq <= o.start_seq OR ` + PastThere + `))
	OR NOT EXISTS (SELECT 1 FROM temp.map m WHERE m.a = e.seq)
	   AND coalesce(e.time < iif(` + since("e") + ` > 0, ` + since("e") + `, 1 + (SELECT max(time) FROM b.events WHERE seq <= o.start_seq)), 0))`

// PastThere is true for an event x of the other journal, after the start of the subscription o, when the bus of the
// other journal would skip x.
var PastThere = since("x") + ` > 0 AND x.time < ` + since("x") + ` AND x.source NOT IN (SELECT value FROM json_each(?1))`

// since returns the SQL for the time from which on the other journal's subscription o wants events like event; 0 for
// all events.
func since(event string) string {
	return `max(o.since, coalesce((SELECT ts.since FROM b.type_starts ts WHERE ts.subscription = o.id AND ts.type = ` + event + `.type), 0))`
}

// Begins makes temp.begins: the subscriptions of this journal that began with new events only, and when they began, by
// event type. An event that is new here, or that a merged module emitted, is older than such a subscription if the
// event's time is before the time of the start. In the log such an event lies after the start, or the bus no longer
// compares the event's time.
const Begins = `CREATE TEMP TABLE begins AS SELECT s.id, t.value AS type, max(s.since, coalesce(ts.since, 0)) > 0 AS dated,
	iif(s.since > 0 OR ts.since > 0, max(s.since, coalesce(ts.since, 0)), 1 + (SELECT max(time) FROM main.events WHERE seq <= s.start_seq)) AS at
FROM main.subscriptions s, json_each(s.types) t LEFT JOIN main.type_starts ts ON ts.subscription = s.id AND ts.type = t.value
WHERE s.kind = 'bus' AND s.except_of = 0 AND (s.since > 0 OR s.start_seq > 0 OR ts.since > 0)`

// Conditions for a subscription s of this journal and an event e from before the start of s, or of the event's type in
// s: TooOld for an event that is new here, TooOldHere for an event that was here before.
const (
	TooOld     = `EXISTS (SELECT 1 FROM temp.begins g WHERE g.id = s.id AND g.type = e.type AND e.time < g.at)`
	TooOldHere = `EXISTS (SELECT 1 FROM temp.begins g WHERE g.id = s.id AND g.type = e.type AND e.time < g.at AND g.dated AND e.source IN (SELECT value FROM json_each(?1)))`
)
