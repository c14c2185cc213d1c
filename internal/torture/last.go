package torture

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/broker"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
	"github.com/troupebus/troupe/transports/sqlite"
)

// lastLimit is the time until a process notices a fault with no work left.
const lastLimit = 20 * time.Second

// lasts are the faults that come when no work is left, so that the test knows by when a process must notice the fault.
// A fault of another kind of server does nothing.
var lasts = map[string]func(*across){
	story.TwinProcess: (*across).twin, story.Restored: (*across).restore, story.Transaction: (*across).openTransaction,
	story.OtherBytes: (*across).sendOtherBytes, story.LowLimit: (*across).lowerLimit, story.Hoard: (*across).hoard,
	story.Remade: (*across).remakeTopic, story.Dump: (*across).restoreDump, story.LargeRecord: (*across).swell,
	story.WebServer: (*across).misdirect,
}

// last causes the faults in lasts that the schedule has, and waits each time until no work is left again.
func (a *across) last() {
	for _, mood := range slices.Sorted(maps.Keys(lasts)) {
		if a.isLast(mood) {
			lasts[mood](a)
			if mood == story.TwinProcess || !a.rest("--good") { // a twin may have more events than its journal
				return
			}
		}
	}
}

// copyLedger stops the ledger, and copies the files of its journal to a folder.
func (a *across) copyLedger(folder string) bool {
	a.stop(story.Ledger)
	if err := os.Mkdir(folder, 0o700); err != nil {
		a.find("machine", "%v", err)
		return false
	}
	return a.copyFiles(a.journal(story.Ledger), folder)
}

// copyFiles copies the files of the journal at path to a folder.
func (a *across) copyFiles(path, folder string) bool {
	files, _ := filepath.Glob(path + "*")
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".lock") })
	out, err := exec.CommandContext(a.ctx, "cp", append(files, folder)...).CombinedOutput()
	if err != nil {
		a.find("machine", "cp: %v: %s", err, out)
	}
	return err == nil
}

// twin runs a second process on a copy of the ledger's journal. Within lastLimit, either process must notice the other
// process, and end.
func (a *across) twin() {
	folder := filepath.Join(a.folder, "twin")
	if !a.copyLedger(folder) {
		return
	}
	a.serve(story.Ledger, "--good")
	o := a.owners[story.Ledger]
	args := append([]string{"--modules", modulesOf[story.Ledger], "--good"}, a.backend...)
	other, err := a.startOwnerBy(a.clocks[story.Ledger], filepath.Join(folder, story.Ledger+".db"), args...)
	if err != nil || o == nil {
		a.find("machine", "a second process on a copy of the journal cannot be started: %v", err)
		return
	}
	select {
	case <-o.Ended():
	case <-other.Ended():
	case <-time.After(lastLimit):
		a.find("twins", "two processes run on copies of a journal, and neither noticed within %v", lastLimit)
	}
	other.Kill()
	a.stop(story.Ledger)
}

// restore puts a backup of the ledger's journal in the place of the journal, after the ledger has taken further events.
// The ledger must report that its journal is older than its position, and take the events again.
func (a *across) restore() {
	folder := filepath.Join(a.folder, "backup")
	if !a.copyLedger(folder) || !a.rest("--good") || !a.publishLast(restoredKey, 3) || !a.rest("--good") {
		return
	}
	a.stop(story.Ledger)
	files, _ := filepath.Glob(a.journal(story.Ledger) + "*")
	for _, f := range files {
		_ = os.Remove(f) // cp reports the error
	}
	if !a.copyFiles(filepath.Join(folder, story.Ledger+".db"), filepath.Dir(a.path)) {
		return
	}
	a.excused = true
	a.serve(story.Ledger, "--good")
	a.mustLog(story.Ledger, "this journal is older than the position", "its journal is a backup")
}

// restoredKey is the key of events that the ledger handles twice, in any order of its subscriptions.
const restoredKey = "restored"

// openTransaction leaves a transaction of another program open on the door's topic. The ledger must report the
// transaction.
func (a *across) openTransaction() {
	if a.brokerAt == "" {
		return
	}
	a.atBroker(func(b *broker.Broker, topic string) error {
		abort, err := b.OpenTransaction(topic)
		if err != nil {
			return err
		}
		a.mustLog(story.Ledger, "wait for a transaction of another program", "a transaction of another program is open")
		return abort()
	})
}

// sendOtherBytes sends an event with the id of another event and other data. The ledger must report the event, and keep
// the other event.
func (a *across) sendOtherBytes() {
	if a.brokerAt == "" || !a.publishLast("twice", 1) || !a.rest("--good") {
		return
	}
	reader, err := sqlite.OpenReader(a.ctx, a.journal(story.Ledger))
	if err != nil {
		a.find("start", "the journal of the ledger cannot be read: %v", err)
		return
	}
	ids := a.idsByKey(reader, story.Ledger)["twice"]
	_ = reader.Close() // it only read
	a.atBroker(func(b *broker.Broker, topic string) error {
		return b.Send(topic, broker.Event{ID: ids[0], Type: "torture.asked", Source: "front", Key: "twice", Data: []byte(`{"key": "twice", "n": 2}`)})
	})
	a.mustLog(story.Ledger, "with this id and source and other content", "an event had the id of another event and other data")
}

// lowerLimit lowers the limit of the door's topic, and raises the limit again, while events are published. The relay
// refuses events until then, and must send all later events without a restart. A replay sends the refused events.
func (a *across) lowerLimit() {
	if a.brokerAt == "" || !a.atBroker((*broker.Broker).TakeNone) {
		return
	}
	a.excused = true
	lowered, raise := context.WithCancel(a.ctx)
	defer raise()
	a.beside.Go(func() { // so that the door knows the lowered limit until the last moment
		for n := 0; lowered.Err() == nil; n++ {
			a.publishLast(fmt.Sprint("low-", n), 1)
			pause.For(lowered, pace/10)
		}
	})
	a.await(lastLimit, func() bool { return a.refused("low-0") > 0 })
	raised := a.atBroker((*broker.Broker).TakeAll)
	raise()
	const later = 20
	if raised && a.publishLast("raised", later) {
		a.await(lastLimit, func() bool { return a.refused("raised") > 0 || a.arrived("raised") == later })
	}
	if n := a.refused("raised"); n > 0 {
		a.find("refused", "%d events were refused after the limit of the topic was raised again", n)
	}
	a.beside.Wait()
	args := []string{"dlq", "replay", "--all", "--reason", "the limit is raised", "--journal", a.journal(story.Door)}
	a.runTool(a.machine.troupe, args...)
}

// swell sends an event to the ledger that is large, and small while compressed. The ledger must report the event.
func (a *across) swell() {
	const reports = "SELECT count(*) FROM dead_letters WHERE error LIKE '%unpacked%'"
	if a.brokerAt == "" {
		return
	}
	a.excused = true
	before := a.countIn(story.Ledger, reports)
	send := func(b *broker.Broker, topic string) error { return b.SendLarge(topic, largeEvent) }
	sent := a.atBroker((*broker.Broker).TakeAll) && a.atBroker(send)
	if sent && !a.await(lastLimit, func() bool { return a.countIn(story.Ledger, reports) > before }) {
		a.find("unnoticed", "an event was larger than any event may be, but no dead letter reports the event")
	}
}

// misdirect starts the tail with the address of a web server as the address of its broker. The tail must report the
// server.
func (a *across) misdirect() {
	if a.brokerAt == "" {
		return
	}
	address, stop, err := broker.ServeWeb("127.0.0.1:0")
	if err != nil {
		a.find("machine", "no web server can be started: %v", err)
		return
	}
	defer stop()
	a.stop(story.Tail)
	a.backend[1] = address
	a.serve(story.Tail, "--good")
	a.backend[1] = a.brokerAt
	a.mustLog(story.Tail, "does not speak Kafka's protocol", "its broker is a web server")
	a.stop(story.Tail)
}

// refused returns the number of events of a key that the transport refused to take from the door.
func (a *across) refused(key string) int {
	return a.countIn(story.Door, "SELECT count(*) FROM events WHERE type = 'bus.unsent' AND key = '"+key+"'")
}

// arrived returns the number of events of a key at the ledger.
func (a *across) arrived(key string) int {
	return a.countIn(story.Ledger, "SELECT count(*) FROM events WHERE type = 'torture.asked' AND key = '"+key+"'")
}

// countIn returns the count that query selects from the journal of a deployable.
func (a *across) countIn(name, query string) (n int) {
	reader, err := sqlite.OpenReader(a.ctx, a.journal(name))
	if err != nil {
		a.find("start", "the journal of %s cannot be read: %v", name, err)
		return 0
	}
	defer func() { _ = reader.Close() }() // only read
	n, _ = a.rows(reader, query)
	return n
}

// remakeTopic deletes the door's topic twice while the ledger is stopped, and lets the door create the topic again. The
// ledger must report both times, although the beginnings of both topics are the same place.
func (a *across) remakeTopic() {
	const reports = "SELECT count(*) FROM dead_letters WHERE error LIKE '%made anew%'"
	if a.brokerAt == "" || !a.publishLast("old", 1) || !a.rest("--good") { // the ledger has read from the old topic
		return
	}
	a.excused = true
	for i := range 2 {
		a.stop(story.Ledger)
		before := a.countIn(story.Ledger, reports)
		if !a.atBroker((*broker.Broker).DeleteTopic) || !a.publishLast(fmt.Sprint("anew-", i), 3) || !a.rest("--good") {
			return
		}
		if !a.await(lastLimit, func() bool { return a.countIn(story.Ledger, reports) > before }) {
			a.find("unnoticed", "the topic was made anew %d times, but no dead letter reports the last time", i+1)
		}
	}
}

// hoard sends much to the ledger that is small while compressed, and that the ledger cannot pass while its disk fails.
func (a *across) hoard() {
	if a.brokerAt == "" {
		return
	}
	a.excused = true
	a.weather(disk.WriteFails, lastLimit/2)
	a.atBroker(func(b *broker.Broker, topic string) error {
		_ = b.SendHoard(topic, broker.Event{Type: "torture.inside", Source: "front"}, 6, 16) // a busy broker refuses some
		return nil
	})
	a.beside.Wait()
}

// restoreDump puts a copy of the database in the place of the database, after the deployables have sent further events.
// Every deployable must report the copy, and send all of its events again after a restart.
func (a *across) restoreDump() {
	if a.database == nil || !a.swap(a.database.Copy) || !a.rest("--good") || !a.publishLast("dumped", 3) || !a.rest("--good") ||
		!a.swap(a.database.Restore) {
		return
	}
	for _, name := range story.Deployables {
		a.mustLog(name, "are not the ones that this process started with", "the database was restored from a dump")
	}
	a.publishLast("after-dump", 3)
	a.stopAll()
}

// swap calls fn while the network refuses connections.
func (a *across) swap(fn func(context.Context) error) bool {
	a.network.Set(story.Refusing)
	defer a.network.Set("")
	err := fn(a.ctx)
	if err != nil {
		a.find("machine", "a database cannot be copied or replaced: %v", err)
	}
	return err == nil
}

// atBroker calls fn with a connection to the broker, and the door's topic. It reports whether fn succeeded.
func (a *across) atBroker(fn func(b *broker.Broker, topic string) error) bool {
	b, err := broker.Connect(a.brokerAt)
	if err == nil {
		err = fn(b, a.prefix+".front")
		b.Close()
	}
	if err != nil {
		a.find("machine", "a fault cannot be caused at the broker: %v", err)
	}
	return err == nil
}

// publishLast publishes events at the door, and reports whether all are acknowledged.
func (a *across) publishLast(key string, count int) bool {
	q := a.asks(ask{what: story.Publish, key: key, n: 1, count: count})
	request := talk.Request{Do: talk.Publish, Key: key, N: 1, Count: count}
	answer, ok := a.owners[story.Door].Answer(request, 2*talk.Patience)
	if !ok {
		answer.Kind = talk.Unknown
	}
	a.answered(q, answer.Kind, answer.Err)
	return answer.Kind == talk.Done
}

// await waits until holds, at most limit.
func (a *across) await(limit time.Duration, holds func() bool) bool {
	for end := time.Now().Add(limit); !holds(); pause.For(a.ctx, pace) {
		if a.ctx.Err() != nil || time.Now().After(end) {
			return false
		}
	}
	return true
}

// mustLog finds a deployable whose log has no text about a fault within lastLimit.
func (a *across) mustLog(name, text, fault string) {
	o := a.owners[name]
	if o == nil {
		return
	}
	if !a.await(lastLimit, func() bool { return o.Logged(text) }) {
		a.find("unnoticed", "%s, but within %v the log of %s does not have %q", fault, lastLimit, name, text)
	}
}
