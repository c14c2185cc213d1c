package wire

import (
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

func TestCheckSource(t *testing.T) {
	modules := func(name string) bool { return name == "order" || name == "payment" }
	for _, tt := range []struct {
		source, topic string
		refused       bool
	}{
		{"order", "order", false}, {"payment", "order", true}, {"a partner", "order", false}, {"payment", "", false},
	} {
		if err := CheckSource(&journal.Event{Source: tt.source}, tt.topic, modules); (err != nil) != tt.refused {
			t.Errorf("an event of %q on the topic %q: %v", tt.source, tt.topic, err)
		}
	}
}
