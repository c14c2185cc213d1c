package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// ownIngest is the subscription of an observer itself that has what it did not get as dead letters. Those of deployables have the
// beginning of a journal's id behind their names.
const ownIngest = "bus/ingest"

// gaps makes dead letters of what those of events that were just appended say of the topics: messages that were lost before this
// observer read them, or that nobody can read.
func (t *take) gaps(events []*journal.Event) error {
	for _, e := range events {
		trouble := e.Metadata[wire.MetaTrouble]
		if e.Type != wire.UndecodedType || trouble == "" || e.Metadata[wire.MetaFirst] != "" { // what was before the observer is not judged
			continue
		}
		s, err := t.subscription(ownIngest)
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

// Gaps returns what the observer whose journal tx, of a View, reads did not get of the topics, as far as nobody has dropped that as
// a dead letter: until then what it shows of the system may lack something.
func Gaps(ctx context.Context, tx *sql.Tx) (gaps []string, err error) {
	query := row.SQL(`
SELECT l.error FROM dead_letters l JOIN subscriptions s ON s.id = l.subscription
WHERE s.name = ? AND l.status = 'dead' AND EXISTS (SELECT 1 FROM observer) ORDER BY l.id`, ownIngest)
	err = row.Each(ctx, tx, query, func(rows *sql.Rows) error {
		var gap string
		err := rows.Scan(&gap)
		gaps = append(gaps, gap)
		return err
	})
	return gaps, err
}
