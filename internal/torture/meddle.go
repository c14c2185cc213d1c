package torture

import (
	"slices"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/broker"
	"github.com/troupebus/troupe/internal/torture/story"
)

const smallBatches = "20000"

// largeEvent is the event of another program that is large. A ledger that takes the event has an event that was not
// sent.
var largeEvent = broker.Event{ID: "large", Type: "torture.asked", Source: "front", Key: "large"}

// meddle causes the fault s.Mood at the broker. It does nothing while the broker is away. The faults in lasts come when
// no work is left; a large record and a web server come twice.
func (a *across) meddle(s story.Step) {
	switch {
	case s.Mood == story.WebServer:
		a.serveWeb(millis(s.For))
		return
	case a.brokerAt == "" || lasts[s.Mood] != nil && s.Mood != story.LargeRecord:
		return
	}
	b, err := broker.Connect(a.brokerAt)
	for end := time.Now().Add(startLimit); err != nil && s.Mood == story.Compacted && time.Now().Before(end); {
		pause.For(a.ctx, pace) // the broker still starts
		b, err = broker.Connect(a.brokerAt)
	}
	if err != nil {
		return
	}
	defer b.Close()
	topic := a.prefix + ".front"
	switch s.Mood {
	case story.LargeRecord:
		if b.SendLarge(topic, largeEvent) == nil {
			a.excused = true
			a.count("large records", 1)
		}
	case story.SmallBatches:
		_ = b.SetTopic(topic, broker.SettingLimit, smallBatches) // the topic may not exist yet
	case story.DeleteRecords:
		a.deleteRecords(b, topic)
	case story.Compacted:
		a.compacted = b.CreateTopic(a.prefix+".moody", broker.SettingCleanup, "compact") == nil
	}
}

// deleteRecords deletes the records of a topic, and the positions of the ledger, which does not run. The small broker
// keeps the newest record of each partition, because kfake's DeleteRecords removes the files from which kfake knows the
// end of a partition. Without a record left, kfake would count from 0 again in the same topic after a start, stopped or
// killed. Kafka continues its offsets.
func (a *across) deleteRecords(b *broker.Broker, topic string) {
	kept := int64(0)
	if a.port != "" {
		kept = 1
	}
	if a.owners[story.Ledger] == nil && b.Forget(topic, kept, story.Ledger+"-") {
		a.deleted = true
		a.count("deletions", 1)
	}
}

// mendTopic makes the compacted topic a topic that can be written. Until then, its events wait, and no other events.
func (a *across) mendTopic() {
	b, err := broker.Connect(a.brokerAt)
	if err == nil {
		err = b.SetTopic(a.prefix+".moody", broker.SettingCleanup, "delete")
		b.Close()
	}
	if err != nil {
		a.find("machine", "the compacted topic cannot be mended: %v", err)
	}
}

// serveWeb answers HTTP at the broker's port.
func (a *across) serveWeb(d time.Duration) {
	if a.port == "" || a.broker != nil {
		return
	}
	if _, stop, err := broker.ServeWeb(a.brokerAt); err == nil {
		pause.For(a.ctx, d)
		stop()
	}
}

// recover follows the docs after events were deleted: the reader reports the missing events, and then the events are
// sent again.
func (a *across) recover() bool {
	readers, shut, ok := a.readers()
	if !ok {
		return false
	}
	defer shut()
	reported := func() int {
		n, _ := a.rows(readers[story.Ledger], `SELECT count(*) FROM dead_letters d JOIN subscriptions s ON s.id = d.subscription
WHERE s.name LIKE 'bus/%' AND d.error NOT LIKE '%unpacked%'`) // a large record is a different fault
		return n
	}
	missing := func() int {
		sent, came := a.idsByKey(readers[story.Door], story.Ledger), a.idsByKey(readers[story.Ledger], story.Ledger)
		n := 0
		for key, ids := range sent {
			n += len(ids) - len(came[key])
		}
		return n
	}
	for end := time.Now().Add(4 * stallLimit); missing() > 0 && reported() == 0 && time.Now().Before(end); {
		pause.For(a.ctx, pace)
	}
	if n := missing(); n > 0 && reported() == 0 {
		a.find("silent", "%d events were deleted before the ledger had read them, but no dead letter reports the loss", n)
	}
	a.stop(story.Door)
	a.runTool(a.machine.troupe, "resend", "--journal", a.journal(story.Door))
	a.serve(story.Door)
	return a.owners[story.Door] != nil && a.owners[story.Door].AwaitUp(startLimit)
}

// measurePeak finds a deployable that needed too much memory. A deployable that has ended needed none.
func (a *across) measurePeak(name string) {
	if peak := a.owners[name].Peak(); peak > memoryLimit {
		a.find("memory", "%s had %d MiB resident", name, peak>>20)
	}
}

// isLast reports whether the schedule has the fault mood, which comes when no work is left.
func (r *run) isLast(mood string) bool {
	return slices.ContainsFunc(r.schedule.Steps, func(s story.Step) bool { return s.Do == story.Meddle && s.Mood == mood })
}
