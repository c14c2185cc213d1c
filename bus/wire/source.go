package wire

import (
	"fmt"

	"github.com/troupebus/troupe/bus/journal"
)

// CheckSource rejects an event from a module that does not own the topic, because a module publishes only on its own
// topic. An event whose source is not a module may be on any topic. An event with topic "" was stored before topics
// were kept, and is accepted.
func CheckSource(e *journal.Event, topic string, isModule func(name string) bool) error {
	if topic == "" || e.Source == topic || !isModule(e.Source) {
		return nil
	}
	return fmt.Errorf("the source is %s, a module that publishes on its own topic, not on topic %s: the program that writes the event must set another source",
		e.Source, topic)
}
