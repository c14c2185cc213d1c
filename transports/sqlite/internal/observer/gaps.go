package observer

import (
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// gaps makes dead letters of the gaps in the just appended events: messages lost before the observer read them, and
// messages without a known encoding.
func (t *take) gaps(events []*journal.Event) error {
	for _, e := range events {
		trouble := e.Metadata[wire.MetaTrouble]
		if e.Type != wire.UndecodedType || trouble == "" || e.Metadata[wire.MetaFirst] != "" { // older messages do not count
			continue
		}
		s, err := t.subscription(&record{Record: journal.Record{Subscription: reader.OwnIngest}})
		if err != nil {
			return err
		}
		now := time.Now().UnixMicro()
		for _, step := range []row.Statement{
			row.SQL(setDelivery, e.Seq, s.id, string(journal.Dead), 1, now, 0, trouble),
			row.SQL(setDeadLetter, e.Seq, s.id, trouble, "", 1, now, now, string(journal.LetterDead)),
		} {
			if _, err := t.tx.ExecContext(t.ctx, step.Text, step.Args...); err != nil {
				return err
			}
		}
	}
	return nil
}
