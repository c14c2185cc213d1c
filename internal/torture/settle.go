package torture

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/talk"
	"github.com/troupebus/troupe/transports/sqlite"
)

// pace is the time between two looks at a journal that comes to rest.
const pace = 200 * time.Millisecond

// settle ends the torment. On a good disk and without other processes, the journal must come to rest with the
// handlers as they are, and then again with handlers that behave.
func (r *run) settle() {
	if !r.awaitBeside() {
		r.find("late", "background work did not end within %v", 2*commandLimit)
		return
	}
	r.disk.Set(disk.Good)
	r.unlinkLock()
	if r.owner != nil {
		r.owner.AwaitThaw()
	}
	if !r.gone.IsZero() {
		r.judgeGone()
		return
	}
	if r.syncFailed && r.owner != nil { // as the log advises: check the disk, then start again
		r.stopOwner()
	}
	if r.clock != nil && !r.settleClock() || !r.rest() {
		return
	}
	r.measure()
	r.letters("a handler that behaves has a dead letter", "s.name LIKE 'ledger/%' OR s.name LIKE 'tail/%'")
	r.stopOwner()
	if r.has("stop") || !r.rest("--good") {
		return
	}
	r.runTool(r.machine.troupe, "dlq", "replay", "--all", "--reason", "the end", "--journal", r.path) // there may be no dead letters
	if r.rest("--good") {
		r.letters("a dead letter is left, although its handler behaves", "d.status = 'dead'")
		r.stopOwner()
	}
}

// live starts an owner with args, unless an owner runs, and heals the sick handlers.
func (r *run) live(args ...string) bool {
	if r.owner != nil && !r.owner.Alive() && r.owner.IsUp() {
		r.find("died", "an owner ended unexpectedly: %s", r.owner.LastWords())
	}
	if r.owner != nil && r.owner.Alive() {
		r.owner.AwaitUp(startLimit) // an owner that starts while a foreign transaction holds the lock may be refused, and end
	}
	if r.owner == nil || !r.owner.Alive() {
		o, err := r.startOwnerBy(r.clock, r.path, args...)
		if err != nil {
			r.find("machine", "an owner cannot be started: %v", err)
			return false
		}
		r.owner = o
	}
	if !r.owner.AwaitUp(startLimit) {
		r.find("start", "an owner does not start, although nothing prevents it: %s", r.owner.LastWords())
		return false
	}
	r.owner.Answer(talk.Request{Do: talk.Heal}, startLimit)
	return true
}

// rest starts an owner with args, unless an owner runs, and waits until no work is left.
func (r *run) rest(args ...string) bool {
	return r.live(args...) && r.awaitQuiet() && r.awaitAnswers()
}

// awaitAnswers waits until an owner has answered all requests.
func (r *run) awaitAnswers() bool {
	answered := make(chan struct{})
	go func() {
		r.answers.Wait()
		close(answered)
	}()
	select {
	case <-answered:
		return true
	case <-time.After(talk.Patience + stallLimit):
		r.find("unanswered", "publishers have no answer, although nothing prevents one")
		return false
	}
}

const whatIsOpen = `
SELECT (SELECT count(*) FROM deliveries WHERE outcome NOT IN ('retrying', 'blocked')) + (SELECT coalesce(sum(attempts), 0) FROM deliveries),
       (SELECT count(*) FROM events),
       (SELECT count(*) FROM deliveries WHERE outcome IN ('retrying', 'blocked')) + (SELECT count(*) FROM delayed),
       (SELECT count(*) FROM subscriptions s JOIN json_each(s.types) t JOIN events e ON e.type = t.value AND e.seq > s.start_seq
        WHERE s.kind = 'bus' AND s.except_of = 0 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id))`

// awaitQuiet waits until no work is open. Open work without a new answer or attempt for stallLimit is a stall.
func (r *run) awaitQuiet() bool {
	reader, err := sqlite.OpenReader(r.ctx, r.path)
	if err != nil {
		r.find("start", "a journal that is in use cannot be read: %v", err)
		return false
	}
	defer func() { _ = reader.Close() }()
	began, moved := time.Now(), time.Now()
	var settled, events, open, waiting, last int
	for r.ctx.Err() == nil {
		err := reader.View(r.ctx, func(tx *sql.Tx) error {
			return tx.QueryRowContext(r.ctx, whatIsOpen).Scan(&settled, &events, &open, &waiting)
		})
		if err != nil && r.ctx.Err() == nil {
			r.find("start", "a journal that is in use cannot be read: %v", err)
			return false
		}
		if settled+events != last {
			last, moved = settled+events, time.Now()
		}
		if open+waiting == 0 {
			a, ok := r.owner.Answer(talk.Request{Do: talk.Backlog}, stallLimit)
			if ok && a.Quiet {
				return true
			}
		}
		switch {
		case !r.owner.Alive():
			r.find("died", "an owner ended unexpectedly: %s", r.owner.LastWords())
			return false
		case time.Since(moved) > stallLimit || time.Since(began) > quietLimit:
			a, _ := r.owner.Answer(talk.Request{Do: talk.Backlog}, time.Second)
			r.find("stall", "no progress: %d deliveries wait, %d are retried, blocked or delayed%s; the owner: %s; its log ends: %s",
				waiting, open, r.stuck(reader), a.Text, r.owner.LastWords())
			return false
		}
		pause.For(r.ctx, pace)
	}
	return false
}

// stuck returns a text about the deliveries that wait.
func (r *run) stuck(reader *sqlite.Reader) string {
	var who sql.NullString
	_ = reader.View(r.ctx, func(tx *sql.Tx) error { // only an addition to a finding
		return tx.QueryRowContext(r.ctx, `
SELECT group_concat(line, ', ') FROM (
	SELECT s.name || ' ' || coalesce(d.outcome, 'waits') || ' ' || coalesce(json_extract(CAST(e.data AS TEXT), '$.mood'), '') || ' ' || count(*) AS line
	FROM subscriptions s JOIN json_each(s.types) t JOIN events e ON e.type = t.value AND e.seq > s.start_seq
	LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id
	WHERE s.kind = 'bus' AND s.except_of = 0 AND coalesce(d.outcome, 'waits') IN ('waits', 'retrying', 'blocked')
	GROUP BY s.name, d.outcome, json_extract(CAST(e.data AS TEXT), '$.mood') LIMIT 10)`).Scan(&who)
	})
	return " (" + who.String + ")"
}

// letters finds dead letters that must not exist.
func (r *run) letters(what, where string) {
	reader, err := sqlite.OpenReader(r.ctx, r.path)
	if err != nil {
		r.find("start", "a journal that is in use cannot be read: %v", err)
		return
	}
	defer func() { _ = reader.Close() }()
	r.each(reader, `SELECT s.name || ': event ' || d.seq || ', ' || d.status || ': ' || d.error FROM dead_letters d JOIN subscriptions s ON s.id = d.subscription WHERE `+
		where+` LIMIT 3`, func(line string) { r.find("dead", "%s: %s", what, line) })
}

// measure checks the memory, the write-ahead log and the file modes of an owner at rest.
func (r *run) measure() {
	var size int64
	for range 50 {
		info, err := os.Stat(r.path + "-wal")
		if err != nil {
			break
		}
		if size = info.Size(); size <= logLimit {
			break
		}
		pause.For(r.ctx, pace)
	}
	if size > logLimit {
		r.find("log", "the write-ahead log has %d MiB, with no work left and no reader", size>>20)
	}
	if peak, limit := r.owner.Peak(), memoryLimit+2*r.schedule.Payload(); peak > limit {
		r.find("memory", "the owner had %d MiB resident, more than %d", peak>>20, limit>>20)
	}
	if r.schedule.Kind != "owners" {
		return
	}
	files, _ := filepath.Glob(r.path + "*")
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().Perm()&0o077 != 0 {
			r.find("modes", "%s has the mode %v: other users can read or lock the file", filepath.Base(f), info.Mode().Perm())
		}
	}
}

// judgeGone finds acknowledgements that publishers got after the files were gone.
func (r *run) judgeGone() {
	r.mu.Lock()
	var after []string
	for _, a := range r.all {
		if a.asked.Sub(r.gone) > goneLimit && a.answer == talk.Done {
			after = append(after, fmt.Sprintf("%s %d", a.key, a.n))
		}
	}
	r.mu.Unlock()
	if len(after) > 0 {
		r.find("gone", "%s, but publishers got acknowledgements more than %v later: %s", r.lost(), goneLimit, strings.Join(after, ", "))
	}
	if r.owner != nil {
		r.stopOwner()
	}
}
