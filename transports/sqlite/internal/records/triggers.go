package records

import (
	"context"
	"database/sql"
)

// note adds a record for every answer. Triggers also see answers of other processes, such as a person's replay.
// Older answers to events that the relay is to send get a record, too.
const note = `
CREATE TRIGGER records_new AFTER INSERT ON deliveries BEGIN INSERT INTO records (seq, subscription) VALUES (new.seq, new.subscription); END;
CREATE TRIGGER records_changed AFTER UPDATE ON deliveries BEGIN INSERT INTO records (seq, subscription) VALUES (new.seq, new.subscription); END;
INSERT INTO records (seq, subscription) SELECT seq, subscription FROM deliveries
WHERE seq > coalesce((SELECT start_seq FROM subscriptions WHERE kind = 'group' AND name = 'relay'), 0) ORDER BY seq`

// cancelledAgain is the number of cancelled events, the newest, that are read again after Begin.
const cancelledAgain = 10_000

// Begin makes the journal add records, and returns the id of the last cancelled event to leave out.
func Begin(ctx context.Context, tx *sql.Tx) (cancelled int64, err error) {
	var noted bool
	err = tx.QueryRowContext(ctx, "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'trigger' AND name = 'records_new'").Scan(&noted)
	if err == nil && !noted {
		_, err = tx.ExecContext(ctx, note)
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) - ? FROM cancelled", cancelledAgain).Scan(&cancelled)
	}
	return cancelled, err
}

// End makes the journal add no records, and deletes the records.
func End(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "DROP TRIGGER IF EXISTS records_new; DROP TRIGGER IF EXISTS records_changed; DELETE FROM records")
	return err
}
