package commit

import (
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

const (
	insertEvent = `
INSERT INTO events (id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, type) DO NOTHING`

	insertWithMetadata = `
INSERT INTO events (id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, data, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, type) DO NOTHING`

	insertDelayed = `
INSERT INTO delayed (event_id, type, version, source, key, due_at, correlation_id, causation_id, subscription, hops, data, metadata, name)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO NOTHING`

	insertCancelled = `
INSERT OR REPLACE INTO cancelled (event_id, due_at, cancelled_at, type, source, key, name, correlation_id, causation_id, subscription)
SELECT event_id, due_at, ?, type, source, key, name, correlation_id, causation_id, subscription
FROM delayed WHERE source = ? AND name = ? AND key = ? AND name <> ''`

	// decided is true for an event that waits or has come, or that was cancelled and would come at once.
	decided = `
SELECT EXISTS (SELECT 1 FROM delayed WHERE event_id = ?1) OR EXISTS (SELECT 1 FROM events WHERE id = ?1 AND type = ?2)
OR ?3 AND EXISTS (SELECT 1 FROM cancelled WHERE event_id = ?1)`

	deleteCancelled = "DELETE FROM delayed WHERE source = ? AND name = ? AND key = ? AND name <> ''"
)

// kept are the writer's own prepared statements. Only the writer's goroutine may use them.
type kept struct {
	begin, commit, trial, usedUp *workconn.Stmt
	event, eventMeta, unnumber   *workconn.Stmt
	delay, cancel, undelay       *workconn.Stmt
	revive                       *workconn.Stmt
	request, prune               *workconn.Stmt
}

func (w *Writer) prepareKept() error {
	k := &w.kept
	return w.conn.Prepare(map[**workconn.Stmt]string{
		&k.begin:     "BEGIN IMMEDIATE",
		&k.commit:    "COMMIT",
		&k.trial:     "UPDATE identity SET id = id",
		&k.usedUp:    "UPDATE sqlite_sequence SET seq = seq WHERE seq = 9223372036854775807",
		&k.event:     insertEvent,
		&k.eventMeta: insertWithMetadata,
		&k.unnumber:  "UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'events'",
		&k.delay:     insertDelayed,
		&k.request:   insertRequest,
		&k.prune:     pruneRequests,
		&k.cancel:    insertCancelled,
		&k.undelay:   deleteCancelled,
		&k.revive:    "DELETE FROM cancelled WHERE event_id = ?",
	})
}

// Append writes e to the log, or to the delayed events. An event whose id the journal has is dropped: a publisher
// retried.
func (u *Unit) Append(e *journal.Event) error {
	if e.Timer != "" {
		if done, err := u.setTimer(e); err != nil || done {
			return u.Refuse(err)
		}
	}
	if !e.Due.IsZero() {
		metadata, err := row.Metadata(e.Metadata)
		if err != nil {
			return u.Refuse(err)
		}
		_, _, err = u.w.kept.delay.Exec(e.ID, e.Type, int64(e.Version), e.Source, e.Key, e.Due.UnixMicro(),
			e.CorrelationID, e.CausationID, e.Subscription, int64(e.Hops), row.Blob(e.Data), metadata, e.Timer)
		u.delayed = true
		return u.Refuse(err)
	}
	changed, seq, err := u.insert(e)
	if err == nil && changed == 0 { // SQLite has used up a seq; a gap would send every reader to the disk
		if _, _, err = u.w.kept.unnumber.Exec(); err == nil {
			changed, seq, err = u.insertNamesake(e)
		}
	}
	if err != nil || changed == 0 {
		return u.Refuse(err)
	}
	e.Seq = seq
	u.appended = append(u.appended, e)
	return nil
}

// setTimer cancels the delayed event with the name of e, and reports whether nothing is left to do. An event with a
// known id comes from a reaction that runs once more, in a run from the start: the event that replaced it stays, or is
// set again by a later reaction.
func (u *Unit) setTimer(e *journal.Event) (done bool, err error) {
	if e.Type == "" {
		return true, u.cancel(e)
	}
	if err := u.QueryRow(decided, e.ID, e.Type, e.Due.IsZero()).Scan(&done); err != nil || done {
		return done, err
	}
	if err := u.cancel(e); err != nil || e.Due.IsZero() {
		return false, err
	}
	_, _, err = u.w.kept.revive.Exec(e.ID)
	return false, err
}

// cancel cancels the delayed event with the name of e.
func (u *Unit) cancel(e *journal.Event) error {
	changed, _, err := u.w.kept.cancel.Exec(e.Time.UnixMicro(), e.Source, e.Timer, e.Key)
	if err == nil && changed > 0 {
		_, _, err = u.w.kept.undelay.Exec(e.Source, e.Timer, e.Key)
	}
	return err
}

// insertNamesake inserts e with a longer id when the journal has the id from another source: an id is unique within its
// source only (CloudEvents 1.0, section "id"). Only other programs create such ids.
func (u *Unit) insertNamesake(e *journal.Event) (changed, seq int64, err error) {
	var other, differs bool
	err = u.QueryRow("SELECT source <> ?, data <> ? FROM events WHERE id = ? AND type = ?", e.Source, row.Blob(e.Data), e.ID, e.Type).Scan(&other, &differs)
	if err != nil || !other {
		if differs {
			u.w.differs.log(u.w.cfg.Logger, e)
		}
		return 0, 0, err
	}
	id := e.Source + "#" + e.ID
	if e.CorrelationID == e.ID {
		e.CorrelationID = id
	}
	e.ID = id
	return u.insert(e)
}

func (u *Unit) insert(e *journal.Event) (changed, seq int64, err error) {
	if len(e.Metadata) == 0 {
		return u.w.kept.event.Exec(e.ID, e.Type, int64(e.Version), e.Source, e.Key, e.Time.UnixMicro(),
			e.CorrelationID, e.CausationID, e.Subscription, int64(e.Hops), row.Blob(e.Data))
	}
	metadata, err := row.Metadata(e.Metadata)
	if err != nil {
		return 0, 0, err
	}
	return u.w.kept.eventMeta.Exec(e.ID, e.Type, int64(e.Version), e.Source, e.Key, e.Time.UnixMicro(),
		e.CorrelationID, e.CausationID, e.Subscription, int64(e.Hops), row.Blob(e.Data), metadata)
}

// differs logs dropped events whose id and source the journal has with other content. The journal keeps the first
// event: an id belongs to one event for ever (CloudEvents 1.0, section "id").
type differs struct{ problem oncelog.Problem }

// log logs e, at once or counted with a later event.
func (d *differs) log(logger *slog.Logger, e *journal.Event) {
	events := d.problem.Failed(time.Now())
	if events == 0 {
		return
	}
	logger.Warn("event dropped: the journal has an event with this id and source and other content; the sender must give each event a new id",
		slog.String("event_id", e.ID), slog.String("type", e.Type), slog.String("source", e.Source), slog.Int("events", events))
}
