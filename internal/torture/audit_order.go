package torture

import (
	"fmt"
	"time"

	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/transports/sqlite"
)

// replayLimit is the time until a replayed dead letter runs when no older delivery of its key is open.
const replayLimit = 8 * time.Second

// order finds deliveries of a module that overtook an older delivery of their key.
func (r *run) order(reader *sqlite.Reader, rows string) {
	r.each(reader, `SELECT sub || ', key ' || key || ': event ' || seq || ' after event ' || before FROM (
	SELECT r.sub, r.key, e.seq, lag(e.seq) OVER (PARTITION BY r.sub, r.key ORDER BY r.id) AS before
	FROM `+rows+` r JOIN events e ON e.id = r.event JOIN subscriptions s ON s.name = r.sub
	WHERE NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.subscription = s.id AND d.seq = e.seq)) WHERE before > seq LIMIT 5`,
		func(line string) { r.find("order", "%s", line) })
	if r.stepsClocks() { // times do not show the order
		return
	}
	r.each(reader, `SELECT x.sub || ', key ' || x.key || ': event ' || y.seq || ' ran before event ' || x.seq ||
	', which had not failed yet'`+younger(rows)+`WHERE y.began < x.first_failed_at LIMIT 5`,
		func(line string) { r.find("order", "%s", line) })
	heard, known := r.actLatency()
	if !known {
		return
	}
	r.each(reader, fmt.Sprintf(`SELECT x.sub || ', key ' || x.key || ': event ' || y.seq || ' ran ' ||
	((y.began - x.at) / 1000) || ' ms after event ' || x.seq || ' was replayed, and before that event'`+
		younger(rows)+`WHERE y.began > x.at + %d LIMIT 5`, heard.Microseconds()),
		func(line string) { r.find("order", "%s", line) })
	r.each(reader, fmt.Sprintf(withReplayed(rows)+`SELECT x.sub || ', key ' || x.key || ': event ' || x.seq || ' ran ' ||
	((x.began - x.at) / 1000) || ' ms after its replay, although no older event of the key was open'
FROM replayed x WHERE x.began > x.at + %d AND NOT EXISTS (
	SELECT 1 FROM handled z
	WHERE z.subscription = x.subscription AND z.key = x.key AND z.seq < x.seq AND z.began >= x.at) LIMIT 5`,
		(heard+replayLimit).Microseconds()), func(line string) { r.find("order", "%s", line) })
}

// younger joins each replayed delivery x with each younger delivery y of its key that was recorded before x.
func younger(rows string) string {
	return fmt.Sprintf(`
FROM (%[1]s SELECT * FROM replayed) x JOIN (%[1]s SELECT * FROM handled) y
	ON y.subscription = x.subscription AND y.key = x.key AND y.seq > x.seq AND y.id < x.id
`, withReplayed(rows))
}

// withReplayed begins a query with two tables: handled has the deliveries in rows, and replayed has the handled
// deliveries that were dead, with the time of the last replay.
func withReplayed(rows string) string {
	return `WITH handled AS (
	SELECT r.id, r.sub, r.key, e.seq, s.id AS subscription, d.started_at AS began
	FROM ` + rows + ` r JOIN events e ON e.id = r.event JOIN subscriptions s ON s.name = r.sub JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id),
replayed AS (
	SELECT h.*, l.first_failed_at, (SELECT max(a.at) FROM acts a WHERE a.dead_letter = l.id AND a.act = 'replay') AS at
	FROM handled h JOIN dead_letters l ON l.subscription = h.subscription AND l.seq = h.seq)
`
}

// actLimit returns the time until an owner notices an act of a person. It reports false where no limit is known: the
// store refused work, or handlers hang. In these cases older ready work runs first, however late.
func (r *run) actLatency() (time.Duration, bool) {
	if !r.alwaysGood() {
		return 0, false
	}
	r.mu.Lock()
	limit := 2*time.Second + 20*r.lag
	r.mu.Unlock()
	for _, s := range r.schedule.Steps {
		switch {
		case s.Do == story.Freeze || s.Do == story.Foreign:
			limit += millis(s.For)
		case s.Mood == "hang" || s.Mood == "hang-raw" || s.Mood == "own-context" || s.Mood == "deaf":
			return 0, false
		}
	}
	return limit, true
}
