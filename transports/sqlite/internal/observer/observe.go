package observer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// ErrDeployable: the journal is a deployable's, and cannot become an observer's.
var ErrDeployable = errors.New("sqlite: journal of a deployable")

const selectUse = `
SELECT EXISTS (SELECT 1 FROM observer),
       EXISTS (SELECT 1 FROM subscriptions) OR EXISTS (SELECT 1 FROM events) OR EXISTS (SELECT 1 FROM migrations WHERE module <> 'journal')`

// A subscription registered late is not expected to answer older events; early answers are shown. A
// subscription unknown to this observer's program is registered, without types, with its first record. The newest seq
// has a separate query: beside a WHERE, SQLite would scan all events.
const (
	observeSubscription = `
INSERT INTO subscriptions (name, kind, types, start_seq, cursor)
SELECT ?1, 'bus', ?2, head, head FROM (SELECT coalesce((SELECT max(seq) FROM events), 0) AS head) WHERE true
ON CONFLICT (name) DO UPDATE
SET types = excluded.types, retired_at = NULL, cursor = iif(types = excluded.types, cursor, start_seq)`

	retireOthers = `
UPDATE subscriptions SET retired_at = ?1
WHERE retired_at IS NULL AND types <> '[]' AND name NOT IN (SELECT value FROM json_each(?2))`
)

// Begin makes the journal of tx an observer's, for good, and registers subs. The error is an ErrDeployable for a
// journal on which modules have run.
func Begin(ctx context.Context, tx *sql.Tx, subs []journal.Subscription) error {
	var is, used bool
	if err := tx.QueryRowContext(ctx, selectUse).Scan(&is, &used); err != nil {
		return err
	}
	switch {
	case !is && used:
		return fmt.Errorf("%w: an observer keeps one of its own: name another file", ErrDeployable)
	case !is:
		if _, err := tx.ExecContext(ctx, "INSERT INTO observer (since) VALUES (?)", time.Now().UnixMicro()); err != nil {
			return err
		}
	}
	if _, err := registry.TakeOver(ctx, tx, subs); err != nil {
		return err
	}
	names := make([]string, len(subs))
	for i, s := range subs {
		names[i] = s.Name
		types, err := wake.NewMatch(s.Types, false).List()
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, observeSubscription, s.Name, types); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, retireOthers, time.Now().UnixMicro(), row.List(names))
	return err
}

// Take writes new events, in order. Events of journal.RecordsType and journal.DelayedType are decoded, all others are
// stored. A record waits for its event if necessary. fromNow has the subscriptions with journal.Subscription.FromNow.
func Take(ctx context.Context, u *commit.Unit, events []*journal.Event, fromNow map[string]bool, l *slog.Logger) error {
	t := take{ctx: context.WithoutCancel(ctx), u: u, tx: u.Tx(), fromNow: fromNow, subs: map[string]*observedSub{},
		logger: l}
	return u.Refuse(t.all(events))
}

// take is one call of Take.
type take struct {
	ctx     context.Context
	u       *commit.Unit
	tx      *sql.Tx
	fromNow map[string]bool
	subs    map[string]*observedSub // by name
	logger  *slog.Logger
}

func (t *take) all(events []*journal.Event) error {
	for _, e := range events {
		apply, err := t.read(e)
		if err != nil {
			t.logger.LogAttrs(t.ctx, slog.LevelError, "delivery records cannot be decoded, and are stored as an event; if the deployables are newer, update the observer",
				slog.String("event_id", e.ID), slog.Any("error", err))
		}
		if apply == nil {
			apply = func() error { return t.u.Append(e) }
		}
		if err := apply(); err != nil {
			return err
		}
	}
	if err := t.gaps(t.u.Appended()); err != nil {
		return err
	}
	if err := t.belated(); err != nil {
		return err
	}
	return t.advance()
}

// read decodes the records or delayed events in e. It returns nil for other events. An error is the sender's fault.
func (t *take) read(e *journal.Event) (apply func() error, err error) {
	switch e.Type {
	case journal.RecordsType:
		records, err := decodeRecords(e)
		if err != nil {
			return nil, err
		}
		return func() error { return t.records(records) }, nil
	case journal.DelayedType:
		delayed, err := decodeDelayed(e)
		if err != nil {
			return nil, err
		}
		return func() error { return t.delayed(delayed) }, nil
	}
	return nil, nil
}

// observedSub is a subscription in an observer's journal. No answers to events up to start are expected.
type observedSub struct {
	id, start int64
	rebuilds  int
	named     bool // the observer's own program has the subscription
	fromNow   bool
	retired   bool
}

// subscription returns the subscription of r, under each of its names, and registers an unknown subscription.
func (t *take) subscription(r *record) (*observedSub, error) {
	name := r.Subscription
	if s := t.subs[name]; s != nil && s.rebuilds >= r.Rebuilds {
		return s, nil
	}
	if err := registry.Follow(t.ctx, t.tx, name, r.Was, r.Rebuilds); err != nil {
		return nil, err
	}
	s := &observedSub{fromNow: t.fromNow[name]}
	find := func() error {
		return t.tx.QueryRowContext(t.ctx, registry.ByName, name).Scan(&s.id, &s.start, &s.rebuilds, &s.named, &s.retired)
	}
	err := find()
	if errors.Is(err, sql.ErrNoRows) {
		if _, err = t.tx.ExecContext(t.ctx, observeSubscription, name, "[]"); err == nil {
			err = find()
		}
	}
	t.subs[name] = s
	return s, err
}

// retire records whether s is retired, from a record of its deployable. For subscriptions of the observer's own
// program, the program decides.
func (t *take) retire(s *observedSub, retired bool) error {
	if s.named || s.retired == retired {
		return nil
	}
	s.retired = retired
	_, err := t.tx.ExecContext(t.ctx, "UPDATE subscriptions SET retired_at = iif(?1, ?2, NULL) WHERE id = ?3", retired, time.Now().UnixMicro(), s.id)
	return err
}

// began records that s has an answer to the event at seq. Without FromNow, s then owes answers to all later events,
// also to events from before the registration here.
func (t *take) began(s *observedSub, seq int64) error {
	if seq > s.start || s.fromNow {
		return nil
	}
	s.start = seq - 1
	_, err := t.tx.ExecContext(t.ctx, "UPDATE subscriptions SET start_seq = ?1, cursor = ?1 WHERE id = ?2", s.start, s.id)
	return err
}

// advanceEvery is the number of events between two moves of the cursors.
const advanceEvery = 1000

const advanceCursors = `
UPDATE subscriptions AS s SET cursor = coalesce((
	SELECT e.seq - 1 FROM events e
	WHERE e.seq > s.cursor AND e.type IN (SELECT value FROM json_each(s.types))
	  AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)
	ORDER BY e.seq LIMIT 1), (SELECT max(seq) FROM events), cursor)`

// advance moves each subscription's cursor, now and then, to its first event without an answer, so that readers can
// skip the others.
func (t *take) advance() error {
	if !slices.ContainsFunc(t.u.Appended(), func(e *journal.Event) bool { return e.Seq%advanceEvery == 0 }) {
		return nil
	}
	_, err := t.tx.ExecContext(t.ctx, advanceCursors)
	return err
}
