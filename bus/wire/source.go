package wire

import (
	"fmt"

	"github.com/troupebus/troupe/bus/journal"
)

// CheckSource rejects an event whose source is another module than the owner of the topic that it came on: a module's events are on the
// module's own topic. Events of sources that are no modules may be on any. An event that came before topics were kept has topic "".
func CheckSource(e *journal.Event, topic string, isModule func(name string) bool) error {
	if topic == "" || e.Source == topic || !isModule(e.Source) {
		return nil
	}
	return fmt.Errorf("its source is %s, a module whose events are on its own topic, not on that of %s: whoever writes the event is to give another source", e.Source, topic)
}
