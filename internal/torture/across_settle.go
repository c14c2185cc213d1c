package torture

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
	"github.com/troupebus/troupe/transports/sqlite"
)

// settle ends the torment and repairs the network. All events that were acknowledged at the door must pass all
// deployables, first with the handlers as they are, then with handlers that behave.
func (a *across) settle() {
	if !a.awaitBeside() {
		a.find("late", "background work did not end within %v", 2*commandLimit)
		return
	}
	a.disk.Set(disk.Good)
	a.network.Set("")
	for _, c := range a.clocks {
		stepClock(c, story.Step{Ahead: int(a.schedule.End().Seconds())})
	}
	for _, o := range a.owners {
		o.AwaitThaw()
	}
	if a.startsOlder() {
		a.stop(story.Tail) // the program of now has all subscriptions
	}
	if a.syncFailed { // as the logs advise: check the disk, then start again
		a.stopAll()
	}
	if !a.start() || a.deleted && !a.recover() || !a.rest() {
		return
	}
	if a.compacted {
		a.mendTopic()
	}
	a.stopAll()
	if !a.rest("--good") {
		return
	}
	for _, name := range story.Deployables { // there may be no dead letters
		a.runFor(a.clocks[name], commandLimit, a.machine.troupe, "dlq", "replay", "--all", "--reason", "the end", "--journal", a.journal(name))
	}
	if !a.rest("--good") {
		return
	}
	a.last()
	a.stopAll()
	if !a.has("stop", "stall", "start") {
		a.audit()
	}
}

func (a *across) stopAll() {
	for _, name := range story.Deployables {
		a.stop(name)
	}
}

// rest starts the deployables that do not run, with args, and waits until no work is left, also not between
// deployables.
func (a *across) rest(args ...string) bool { return a.start(args...) && a.awaitQuiet() }

// start starts the deployables that do not run, with args, and heals the sick handlers.
func (a *across) start(args ...string) bool {
	a.serveBroker()
	for _, name := range story.Deployables {
		if o := a.owners[name]; o != nil && !o.Alive() && o.IsUp() {
			a.find("died", "%s ended unexpectedly: %s", name, o.LastWords())
		}
		a.serve(name, args...)
	}
	for _, name := range story.Deployables {
		o := a.owners[name]
		if o == nil || !o.AwaitUp(startLimit) {
			a.find("start", "%s does not start, although nothing prevents it", name)
			return false
		}
		o.Answer(talk.Request{Do: talk.Heal}, startLimit)
	}
	return true
}

// carriedTypes are the event types that a deployable gets from the deployable before, as a list in SQL.
var carriedTypes = map[string]string{story.Ledger: "'torture.asked'", story.Tail: "'torture.noted', 'torture.called'"}

// awaitQuiet waits until no journal has open work and all events have arrived at their consumers.
func (a *across) awaitQuiet() bool {
	readers, shut, ok := a.readers()
	if !ok {
		return false
	}
	defer shut()
	began, moved, last := time.Now(), time.Now(), ""
	for a.ctx.Err() == nil {
		now, left, err := a.state(readers)
		switch {
		case err != nil && a.ctx.Err() == nil:
			a.find("start", "a journal that is in use cannot be read: %v", err)
			return false
		case left == 0 && a.allQuiet():
			return true
		case now != last:
			last, moved = now, time.Now()
		case time.Since(moved) > 2*stallLimit || time.Since(began) > quietLimit:
			a.find("stall", "no progress: %s; the logs end: %s", now, a.lastWords())
			return false
		}
		for _, name := range story.Deployables {
			if o := a.owners[name]; !o.Alive() {
				a.find("died", "%s ended unexpectedly: %s", name, o.LastWords())
				return false
			}
		}
		pause.For(a.ctx, pace)
	}
	return false
}

// state returns the progress of all journals as text, and counts the open work.
func (a *across) state(readers map[string]*sqlite.Reader) (text string, left int, err error) {
	var b strings.Builder
	count := func(at, types string) (n int, err error) {
		err = readers[at].View(a.ctx, func(tx *sql.Tx) error {
			return tx.QueryRowContext(a.ctx, "SELECT count(*) FROM events WHERE type IN ("+types+")").Scan(&n)
		})
		return n, err
	}
	for i, name := range story.Deployables {
		var settled, events, open, waiting int
		err := readers[name].View(a.ctx, func(tx *sql.Tx) error {
			return tx.QueryRowContext(a.ctx, whatIsOpen).Scan(&settled, &events, &open, &waiting)
		})
		if err != nil {
			return "", 0, err
		}
		left += open + waiting
		fmt.Fprintf(&b, "%s: %d events, %d deliveries settled, %d open, %d waiting; ", name, events, settled, open, waiting)
		if i == 0 {
			continue
		}
		sent, err := count(story.Deployables[i-1], carriedTypes[name])
		if err != nil {
			return "", 0, err
		}
		came, err := count(name, carriedTypes[name])
		if err != nil {
			return "", 0, err
		}
		left += max(sent-came, 0) // the audit finds surplus events
		fmt.Fprintf(&b, "%[2]d of %[1]d events arrived; ", sent, came)
	}
	return b.String(), left, nil
}

func (a *across) allQuiet() bool {
	return !slices.ContainsFunc(story.Deployables, func(name string) bool {
		answer, ok := a.owners[name].Answer(talk.Request{Do: talk.Backlog}, stallLimit)
		return !ok || !answer.Quiet
	})
}

func (a *across) lastWords() string {
	var all []string
	for _, name := range story.Deployables {
		all = append(all, name+": "+a.owners[name].LastWords())
	}
	return strings.Join(all, "\n")
}

// audit compares all journals with the model and with each other.
func (a *across) audit() {
	readers, shut, ok := a.readers()
	if !ok {
		return
	}
	defer shut()
	verify := []string{"verify"}
	for _, name := range story.Deployables {
		a.sound(readers[name])
		if !a.deleted && !a.excused {
			a.each(readers[name], `SELECT s.name || ': ' || d.error FROM dead_letters d JOIN subscriptions s ON s.id = d.subscription
WHERE s.name LIKE 'bus/%' LIMIT 3`, func(line string) { a.find("wire", "%s: %s", name, line) })
		}
		verify = append(verify, "--journal", a.journal(name))
	}
	a.acknowledged(readers[story.Door])
	a.ledger(readers[story.Door], "moody")
	a.ledger(readers[story.Ledger], "ledger")
	a.sums(readers[story.Ledger])
	a.ledger(readers[story.Tail], "tail")
	a.carried(readers[story.Door], readers[story.Ledger], story.Ledger)
	a.carried(readers[story.Ledger], readers[story.Tail], story.Tail)
	a.calls(readers[story.Door], readers[story.Ledger])
	if res := a.runTool(a.machine.troupe, verify...); res.code != 0 && !a.has("check", "damaged") {
		a.find("verify", "troupe verify ends with exit code %d, but the journal is right: %s%s", res.code,
			clip(res.out, 300), clip(res.err, 300))
	}
}

// carried finds events that were lost, made up or reordered on the way to a deployable.
func (a *across) carried(from, to *sqlite.Reader, name string) {
	sent, came := a.idsByKey(from, name), a.idsByKey(to, name)
	for key, ids := range sent {
		arrived := came[key]
		delete(came, key)
		if slices.Equal(ids, arrived) {
			continue
		}
		for _, id := range ids {
			if !slices.Contains(arrived, id) {
				a.find("lost", "event %s of key %s did not arrive at %s", id, key, name)
			}
		}
		for i := range min(len(ids), len(arrived)) {
			if ids[i] != arrived[i] && !a.deleted && key != restoredKey { // deleted events arrive late, when they are sent again
				a.find("order", "key %s: event %d at %s is %s, but %s was sent", key, i+1, name, arrived[i], ids[i])
				break
			}
		}
		if len(arrived) > len(ids) {
			a.find("nowhere", "key %s: %s got %d events, but %d were sent", key, name, len(arrived), len(ids))
		}
	}
	for key, ids := range came {
		a.find("nowhere", "%s got %d events of key %s, but none was sent", name, len(ids), key)
	}
}

func (a *across) startsOlder() bool {
	return slices.ContainsFunc(a.schedule.Steps, func(s story.Step) bool { return s.Mood == story.Older })
}

// idsByKey returns the ids of the events that deployable name consumes, by key, in the order of the log.
func (a *across) idsByKey(reader *sqlite.Reader, name string) map[string][]string {
	all := map[string][]string{}
	by := "key"
	if name == story.Tail && a.startsOlder() { // an older program leaves out a type, which comes later
		by = "key || ' ' || type"
	}
	a.each(reader, "SELECT "+by+" || char(10) || id FROM events WHERE type IN ("+carriedTypes[name]+") ORDER BY seq", func(line string) {
		key, id, _ := strings.Cut(line, "\n")
		all[key] = append(all[key], id)
	})
	return all
}
