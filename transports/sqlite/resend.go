package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// UseBackend implements journal.Journal.
func (j *Journal) UseBackend(ctx context.Context, backend string) error {
	var was string
	var again int64
	lost := false
	err := j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Durable: true, Run: func(u *commit.Unit) (err error) {
		tx := u.Tx()
		if err := tx.QueryRowContext(ctx, "SELECT carrier FROM identity").Scan(&was); err != nil || was == backend {
			return err
		}
		named, id, known := strings.Cut(backend, journal.IdentityMark)
		wasNamed, wasID, wasKnown := strings.Cut(was, journal.IdentityMark)
		switch {
		case named == wasNamed && !known:
			return nil // possibly the same backend
		case named == wasNamed && wasKnown:
			lost = id != wasID
		}
		if was != "" && (named != wasNamed || lost) { // the backend was known before
			if again, err = sendAgain(ctx, tx, time.Time{}); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, "UPDATE identity SET carrier = ?", backend)
		return err
	}})
	if err != nil {
		return fmt.Errorf("use backend %s: %w", backend, row.Explain(err))
	}
	if again > 0 && lost {
		j.cfg.Logger.LogAttrs(ctx, slog.LevelWarn,
			"backend was restored from a copy or recreated: all events are sent again, and readers drop the known ones",
			slog.String("backend", backend), slog.String("before", was), slog.Int64("events", again))
	} else if again > 0 {
		j.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "backend changed: all events are sent again, and readers drop the known ones",
			slog.String("backend", backend), slog.String("before", was), slog.Int64("events", again))
	}
	return nil
}

// Resend marks everything that the journal at path has for others since a time, or all of it with the zero time, to be
// sent again: events, and records of deliveries. The next process on the journal sends them. The journal must not be in
// use (ErrInUse). Resend returns the maximum number of events: events of modules that run elsewhere are not sent.
func Resend(ctx context.Context, path string, since time.Time) (events int64, err error) {
	if err := file.MustExist(path); err != nil {
		return 0, fmt.Errorf("resend %s: %w", path, err)
	}
	j, err := Open(ctx, path, Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	err = j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Durable: true, Run: func(u *commit.Unit) (err error) {
		events, err = sendAgain(ctx, u.Tx(), since)
		return err
	}})
	if err != nil {
		err = fmt.Errorf("resend: %w", row.Explain(err))
	}
	return events, errors.Join(err, j.Close())
}

// Records are deleted once sent, so resending inserts them again. A journal without observers keeps none.
const (
	rewind = `
UPDATE subscriptions SET cursor = min(cursor, first - 1), start_seq = min(start_seq, first - 1)
FROM (SELECT min(seq) AS first FROM events WHERE time >= ?1) WHERE kind = 'group' AND name = 'relay' AND first IS NOT NULL`

	forgetTopics = "DELETE FROM sent WHERE ?1 IS NOT NULL"

	noteAgain = `
INSERT INTO records (seq, subscription)
SELECT d.seq, d.subscription FROM deliveries d JOIN events e ON e.seq = d.seq
WHERE e.time >= ?1 AND d.subscription NOT IN (SELECT id FROM subscriptions WHERE run_of <> '') AND EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = 'records_new') ORDER BY d.seq`

	countAhead = `
SELECT count(*) FROM events e JOIN subscriptions s ON e.seq > s.cursor WHERE s.kind = 'group' AND s.name = 'relay'`
)

// sendAgain moves the relay's position back to the first event since a time, and returns the number of events after the
// position.
func sendAgain(ctx context.Context, tx *sql.Tx, since time.Time) (events int64, err error) {
	from := int64(0)
	if !since.IsZero() {
		from = since.UnixMicro()
	}
	for _, query := range []string{rewind, forgetTopics, noteAgain} {
		if _, err := tx.ExecContext(ctx, query, from); err != nil {
			return 0, err
		}
	}
	err = tx.QueryRowContext(ctx, countAhead).Scan(&events)
	return events, err
}
