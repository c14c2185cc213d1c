package torture

import (
	"syscall"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/broker"
	"github.com/troupebus/troupe/internal/torture/owner"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/transports/sqlite"
)

// missEvents stops an observer, and deletes the records of all topics after further orders. The observer must have dead
// letters about the missing events.
func (s *shop) missEvents(names, journals []string) {
	place := func(i int) bool {
		s.order(len(s.schedule.Steps)+i, story.Step{Key: journals[0], Calls: 20})
		return s.awaitBeside() && s.awaitBooks(names, journals)
	}
	if !place(0) {
		return
	}
	s.serve(story.Observer)
	if !s.awaitObserver("SELECT count(*) FROM events") {
		s.find("stall", "an observer read no event within %v: %s", 2*stallLimit, owner.LastWords(s.processes[story.Observer].log))
		return
	}
	s.endOne(story.Observer, syscall.SIGTERM)
	if !place(1) {
		return
	}
	b, err := broker.Connect(s.urls[story.Broker])
	if err != nil {
		s.find("machine", "the broker cannot be reached: %v", err)
		return
	}
	deleted := b.ForgetAll(1, "observer")
	b.Close()
	s.serve(story.Observer)
	if deleted && !s.awaitObserver("SELECT count(*) FROM dead_letters WHERE error LIKE '%deleted%'") {
		s.find("unnoticed", "events were deleted before an observer had read the events, but no dead letter of the observer reports the loss")
	}
}

// awaitObserver reports whether query selects more than 0 from the observer's journal within twice the stallLimit.
func (s *shop) awaitObserver(query string) bool {
	for end := time.Now().Add(2 * stallLimit); s.ctx.Err() == nil && time.Now().Before(end); pause.For(s.ctx, pace) {
		reader, err := sqlite.OpenReader(s.ctx, s.journal(story.Observer))
		if err != nil { // the observer still starts
			continue
		}
		n, _ := s.rows(reader, query)
		_ = reader.Close() // it only read
		if n > 0 {
			return true
		}
	}
	return false
}
