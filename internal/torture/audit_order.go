package torture

import (
	"fmt"
	"time"

	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/transports/sqlite"
)

// replayLimit is within what time a replayed dead letter runs when nothing older of its key is open.
const replayLimit = 8 * time.Second

// order finds deliveries of a module that overtook an older one of their key.
func (r *run) order(reader *sqlite.Reader, rows string) {
	r.each(reader, `SELECT sub || ', key ' || key || ': event ' || seq || ' after event ' || before FROM (
	SELECT r.sub, r.key, e.seq, lag(e.seq) OVER (PARTITION BY r.sub, r.key ORDER BY r.id) AS before
	FROM `+rows+` r JOIN events e ON e.id = r.event JOIN subscriptions s ON s.name = r.sub
	WHERE NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.subscription = s.id AND d.seq = e.seq)) WHERE before > seq LIMIT 5`,
		func(line string) { r.find("order", "%s", line) })
	if r.stepsClocks() { // times say nothing about the order
		return
	}
	r.each(reader, `SELECT x.sub || ', key ' || x.key || ': event ' || y.seq || ' ran before event ' || x.seq ||
	', which had not failed yet'`+younger(rows)+`WHERE y.began < x.first_failed_at LIMIT 5`,
		func(line string) { r.find("order", "%s", line) })
	heard, known := r.heardAfter()
	if !known {
		return
	}
	r.each(reader, fmt.Sprintf(`SELECT x.sub || ', key ' || x.key || ': event ' || y.seq || ' ran ' ||
	((y.began - x.at) / 1000) || ' ms after event ' || x.seq || ' was replayed, and before it'`+
		younger(rows)+`WHERE y.began > x.at + %d LIMIT 5`, heard.Microseconds()),
		func(line string) { r.find("order", "%s", line) })
	r.each(reader, fmt.Sprintf(withReplayed(rows)+`SELECT x.sub || ', key ' || x.key || ': event ' || x.seq || ' ran ' ||
	((x.began - x.at) / 1000) || ' ms after it was replayed, behind nothing that is older'
FROM replayed x WHERE x.began > x.at + %d AND NOT EXISTS (
	SELECT 1 FROM handled z
	WHERE z.subscription = x.subscription AND z.key = x.key AND z.seq < x.seq AND z.began >= x.at) LIMIT 5`,
		(heard+replayLimit).Microseconds()), func(line string) { r.find("order", "%s", line) })
}

// younger joins each replayed delivery x with each younger one y of its key that was recorded before it.
func younger(rows string) string {
	return fmt.Sprintf(`
FROM (%[1]s SELECT * FROM replayed) x JOIN (%[1]s SELECT * FROM handled) y
	ON y.subscription = x.subscription AND y.key = x.key AND y.seq > x.seq AND y.id < x.id
`, withReplayed(rows))
}

// withReplayed begins a query: handled are the deliveries in rows, replayed those of them that were dead, with the time of
// the last replay.
func withReplayed(rows string) string {
	return `WITH handled AS (
	SELECT r.id, r.sub, r.key, e.seq, s.id AS subscription, d.started_at AS began
	FROM ` + rows + ` r JOIN events e ON e.id = r.event JOIN subscriptions s ON s.name = r.sub JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id),
replayed AS (
	SELECT h.*, l.first_failed_at, (SELECT max(a.at) FROM acts a WHERE a.dead_letter = l.id AND a.act = 'replay') AS at
	FROM handled h JOIN dead_letters l ON l.subscription = h.subscription AND l.seq = h.seq)
`
}

// heardAfter returns within what time an owner hears of a person's act. The limit is unknown where the store refused work, or
// where handlers hang: work that was ready before runs first, however late.
func (r *run) heardAfter() (time.Duration, bool) {
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
