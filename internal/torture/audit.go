package torture

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
	"github.com/troupebus/troupe/transports/sqlite"
)

// audit compares a journal that is at rest and has no owner with the model.
func (r *run) audit() {
	reader, err := sqlite.OpenReader(r.ctx, r.path)
	if err != nil {
		r.find("damaged", "the journal cannot be read in the end: %v", err)
		return
	}
	defer func() { _ = reader.Close() }()
	r.sound(reader)
	r.acknowledged(reader)
	for _, module := range []string{"ledger", "moody", "tail"} {
		r.ledger(reader, module)
	}
	r.sums(reader)
	r.people(reader)
	r.calls(reader)
	if res := r.runTool(r.machine.troupe, "verify", "--journal", r.path); res.code != 0 && !r.has("check", "damaged") {
		r.find("verify", "troupe verify ends with exit code %d, but the journal is right: %s%s", res.code, clip(res.out, 300), clip(res.err, 300))
	}
}

// sound finds contradictions inside of a journal.
func (r *run) sound(reader *sqlite.Reader) {
	r.each(reader, "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok' LIMIT 3",
		func(line string) { r.find("damaged", "%s", line) })
	wrong, err := reader.Check(r.ctx)
	if err != nil {
		r.find("damaged", "the journal cannot be checked: %v", err)
	}
	for _, line := range wrong {
		r.find("check", "%s", line)
	}
	r.each(reader, "SELECT count(*) || ' events' FROM events WHERE type = 'torture.inside' HAVING count(*) > 0", func(line string) {
		r.find("early", "%s were published by handlers that failed", line)
	})
}

// sums compares the sums of the ledger with its events.
func (r *run) sums(reader *sqlite.Reader) {
	r.each(reader, `SELECT s.key || ': ' || s.total FROM ledger_sums s
WHERE s.total <> (SELECT sum(json_extract(CAST(e.data AS TEXT), '$.n')) FROM events e WHERE e.type = 'torture.asked' AND e.key = s.key) LIMIT 3`,
		func(line string) { r.find("sum", "the sum of key %s is not the sum of its events", line) })
}

// each calls fn with every line that query returns.
func (r *run) each(reader *sqlite.Reader, query string, fn func(line string)) {
	err := reader.View(r.ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(r.ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			fn(line)
		}
		return rows.Err()
	})
	if err != nil && r.ctx.Err() == nil {
		r.find("damaged", "%v: %s", err, clip(query, 200))
	}
}

// acknowledged compares the events of the journal with the answers to the publishers.
func (r *run) acknowledged(reader *sqlite.Reader) {
	found, rows := map[string]int{}, map[string]int{}
	r.each(reader, `SELECT json_extract(CAST(data AS TEXT), '$.key') || ' ' || json_extract(CAST(data AS TEXT), '$.n') FROM events WHERE type = 'torture.asked'`,
		func(line string) { found[line]++ })
	r.each(reader, `SELECT key || ' ' || n FROM front_rows`, func(line string) { rows[line]++ })
	r.mu.Lock()
	all, lag := r.all, r.lag
	r.mu.Unlock()
	for _, a := range all {
		in := 0
		for n := a.n; n < a.n+a.count; n++ {
			id := talk.KeyOf(a.key, n) + " " + strconv.Itoa(n)
			got := found[id]
			delete(found, id)
			switch {
			case got > 1:
				r.find("twice", "the journal has event %s %d times", id, got)
			case got == 0 && a.answer == talk.Done:
				r.find("lost", "event %s (%s) was acknowledged, but the journal does not have it", id, a.what)
			case got > 0 && a.answer == talk.NotDone:
				r.find("undone", "the journal has event %s (%s), but the publisher got an error that promises the opposite: %s", id, a.what, clip(a.said, 200))
			}
			if a.what == story.Work && rows[id] != got {
				r.find("torn", "unit of work %s left %d rows and %d events", id, rows[id], got)
			}
			in += min(got, 1)
		}
		if in != 0 && in != a.count {
			r.find("torn", "%d events were published at once, from %s %d on, but the journal has %d of them", a.count, a.key, a.n, in)
		}
		if limit := talk.Patience + waitLimit + 50*lag; r.schedule.Kind == "locks" && a.took > limit && a.what != story.Foreign {
			r.find("waited", "the publisher of %s %d waited %v, with a context of %v", a.key, a.n, a.took.Round(time.Millisecond), talk.Patience)
		}
	}
	for id := range found {
		r.find("nowhere", "event %s was never published", id)
	}
}

// ledger compares the rows of a module with its deliveries.
func (r *run) ledger(reader *sqlite.Reader, module string) {
	rows := module + "_rows"
	r.each(reader, `SELECT s.name || ', event ' || e.seq || ' (' || e.key || ' ' || json_extract(CAST(e.data AS TEXT), '$.n') || '): ' || d.outcome || ', ' || count(r.id) || ' rows'
FROM deliveries d JOIN subscriptions s ON s.id = d.subscription JOIN events e ON e.seq = d.seq LEFT JOIN `+rows+` r ON r.event = e.id AND r.sub = s.name
WHERE s.name LIKE '`+module+`/%' GROUP BY d.seq, d.subscription HAVING count(r.id) <> (d.outcome = 'done') LIMIT 5`,
		func(line string) { r.find("effect", "%s", line) })
	r.each(reader, `SELECT r.sub || ', event ' || e.seq || ': wrote ' || r.n || ', want ' || json_extract(CAST(e.data AS TEXT), '$.n')
FROM `+rows+` r JOIN events e ON e.id = r.event WHERE r.n <> json_extract(CAST(e.data AS TEXT), '$.n') LIMIT 5`,
		func(line string) { r.find("changed", "a handler got a different event than was published: %s", line) })
	r.each(reader, `SELECT r.sub || ', event ' || r.event FROM `+rows+` r WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = r.event) LIMIT 5`,
		func(line string) {
			r.find("effect", "a row refers to an event that the journal does not have: %s", line)
		})
	r.order(reader, rows)
}

// people compares the acts of the journal with the answers of the dlq commands.
func (r *run) people(reader *sqlite.Reader) {
	acts := map[string]int{}
	r.each(reader, "SELECT reason FROM acts", func(line string) { acts[line]++ })
	for _, a := range r.acts {
		switch n := acts[a.reason]; {
		case a.answer == talk.Done && n == 0:
			r.find("act", "dlq %s (%s) succeeded, but the journal has no such act", a.verb, a.reason)
		case a.answer == talk.NotDone && n > 0:
			r.find("act", "dlq %s (%s) failed, but the journal has %d acts: %s", a.verb, a.reason, n, a.said)
		}
	}
}

// calls checks the promise about external calls: a process makes a single call for each attempt.
func (r *run) calls(readers ...*sqlite.Reader) {
	replays := map[string]int{}
	for _, reader := range readers {
		r.each(reader, `SELECT s.name || ':' || e.id FROM acts a JOIN dead_letters d ON d.id = a.dead_letter JOIN subscriptions s ON s.id = d.subscription
JOIN events e ON e.seq = d.seq WHERE a.act = 'replay'`, func(line string) { replays[line]++ })
	}
	text, err := os.ReadFile(r.outside)
	if err != nil {
		r.find("machine", "%v", err)
	}
	made, running, most := map[string]int{}, map[string]int{}, map[string]int{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 5 {
			r.find("machine", "not a line about an external call: %q", line)
			continue
		}
		what, pid, id, attempt := f[0], f[1], f[2], f[3]
		sub, _, _ := strings.Cut(id, ":")
		at := pid + " " + sub
		if what == "end" {
			running[at]--
			continue
		}
		if n := fmt.Sprintf("%s %s %s", pid, id, attempt); made[n] <= replays[id] {
			made[n]++
		} else {
			r.find("outside", "%s: the same process called again for attempt %s", id, attempt)
		}
		if running[at]++; running[at] > most[at] {
			most[at] = running[at]
		}
	}
	for at, n := range most {
		if limit := map[string]int{"slow": 1, "moody": 10}[atOnce(at)]; limit > 0 && n > limit {
			r.find("parallel", "process %s made %d calls at once", at, n)
		}
	}
}

// atOnce returns the kind of limit that a process and its subscription have, or "".
func atOnce(at string) string {
	switch {
	case strings.HasSuffix(at, "ledger/slow"):
		return "slow"
	case strings.HasSuffix(at, "moody/call"):
		return "moody"
	}
	return ""
}
