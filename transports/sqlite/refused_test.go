package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
)

// More events are ready than a subscription keeps in memory, and the store refuses the answer of the only one that is
// handed out: the others are handed out all the same, and so is that one again.
func TestARefusalStopsNobody(t *testing.T) {
	t.Parallel()
	const events = 2 * dispatch.Admitted
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	messages := make([]*message.Message, events)
	for i := range messages {
		messages[i] = message.NewMessage(fmt.Sprint(i), nil)
	}
	if err := j.Publisher().Publish("t", messages...); err != nil {
		t.Fatal(err)
	}
	out := mustDeliver(t, mustSubscribe(t, j, journal.Subscription{Name: "m/work", Types: []string{"t"}})["m/work"])
	s := j.subs["m/work"]
	seen := map[int64]int{}
	for n := range events + 1 {
		select {
		case msg := <-out:
			d := journal.FromContext(msg.Context())
			if seen[d.Event.Seq]++; n == 0 {
				s.refused(d.Event.Seq, 0)
			} else if err := settleDone(t, j, d); err != nil {
				t.Fatal(err)
			}
			msg.Ack()
		case <-t.Context().Done():
			t.Fatalf("nothing was handed out after %d of %d events: %+v", n, events, j.Backlog())
		}
	}
	if len(seen) != events {
		t.Errorf("%d of %d events were handed out", len(seen), events)
	}
	if err := j.Quiet(t.Context()); err != nil {
		t.Error(err)
	}
}

// settleDone has d handled without any effect.
func settleDone(t *testing.T, j *Journal, d *journal.Delivery) error {
	return j.React(t.Context(), d, journal.Work{Module: "m"}, func(journal.TxFunc) journal.Verdict {
		return journal.Verdict{Outcome: journal.Done, Started: time.Now()}
	})
}
