package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/typechange"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// A consumer group may not change its types: events of a new type before its cursor would get no answer.
const upsertSubscription = `
INSERT INTO subscriptions (name, kind, types, except_of, start_seq, cursor, since) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)
ON CONFLICT (name) DO UPDATE SET types = excluded.types, except_of = excluded.except_of, retired_at = NULL
WHERE types = excluded.types OR kind = 'bus'
RETURNING id, cursor, since`

// register stores a subscription or consumer group that begins after start and began at since. It returns the stored
// row.
func register(ctx context.Context, q row.RowQueryer, name, kind string, m *wake.Match, start,
	since int64) (r registered, err error) {
	list, err := m.List()
	if err != nil {
		return r, err
	}
	err = q.QueryRowContext(ctx, upsertSubscription, name, kind, list, m.Except, start, since).Scan(&r.id, &r.cursor,
		&r.since)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("%s consumed other event types before, now %s: give the subscription a new name", name, list)
	}
	return r, err
}

// Subscribe implements journal.Journal. Subscriptions of an earlier program that are not in specs are marked as
// retired.
func (j *Journal) Subscribe(ctx context.Context, specs []journal.Subscription) (map[string]message.Subscriber, error) {
	var subs []*subscription
	var topics []string
	var changes []registry.Change
	err := j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Run: func(u *commit.Unit) error {
		var err error
		tx := u.Tx()
		j.dismiss(subs) // of a failed first try
		if changes, err = registry.TakeOver(ctx, tx, specs); err != nil {
			return err
		}
		if subs, err = j.registerAll(ctx, tx, specs); err != nil {
			return err
		}
		for _, s := range subs {
			if err = s.buryLost(ctx, u); err != nil {
				return err
			}
		}
		if err = j.stopRecords(ctx, tx); err != nil {
			return err
		}
		if topics, err = reader.GroupTopics(ctx, tx); err != nil {
			return err
		}
		// From here on the subscriptions receive acts: their rows already have the effects of earlier acts.
		if err := tx.QueryRowContext(ctx, newestActs).Scan(&j.lastAct, &j.lastOpenAct); err != nil {
			return err
		}
		return j.admitSubscriptions(subs)
	}})
	if err != nil {
		j.dismiss(subs)
		return nil, fmt.Errorf("subscribe: %w", row.Explain(err))
	}
	registry.Log(ctx, j.cfg.Logger, changes)
	out := make(map[string]message.Subscriber, len(subs))
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range topics {
		j.topics[t] = true
	}
	for _, s := range subs {
		out[s.Name] = &busSubscriber{s: s}
		j.addReader(&s.Follower)
		s.follows = true
	}
	return out, nil
}

// registered is the row of a subscription.
type registered struct {
	id, cursor, since int64
	types, first      string // first is the oldest name
	retired           bool
}

// registerAll stores specs. In the usual case, the program consumes the same types as before, and registerAll writes
// nothing.
func (j *Journal) registerAll(ctx context.Context, tx *sql.Tx, specs []journal.Subscription) (subs []*subscription,
	err error) {
	before, err := registeredBefore(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, spec := range specs {
		if spec.Elsewhere {
			if _, ok := before[spec.Name]; ok { // also when retired: it would react to its events again elsewhere
				return nil, &StrandedError{Subscription: spec.Name}
			}
			continue
		}
		start, since := int64(0), int64(0)
		if spec.FromNow {
			start, since = j.tail.Newest(), time.Now().UnixMicro()
		}
		s := newSubscription(j, 0, spec, 0)
		was, ok := before[spec.Name]
		back := was.retired
		s.first = was.first
		delete(before, spec.Name)
		if list, err := s.Match.List(); err != nil || !ok || was.retired || was.types != list {
			if s.change, err = typechange.Of(was.types, spec); err != nil {
				return nil, err
			}
			if was, err = register(ctx, tx, spec.Name, "bus", s.Match, start, since); err != nil {
				return nil, err
			}
			if was.cursor, err = s.change.Gain(ctx, tx, was.id, was.cursor, spec); err != nil {
				return nil, err
			}
		}
		s.id, s.since = was.id, row.TimeOrZero(was.since)
		if s.starts, err = typechange.Starts(ctx, tx, was.id); err != nil {
			return nil, err
		}
		s.startAt(was.cursor)
		if ok || s.starts != nil {
			s.answered = j.tail.Newest()
		} else if s.first, err = registry.Began(ctx, tx, spec); err != nil {
			return nil, err
		}
		subs = append(subs, s)
		if back {
			if err := registry.Report(ctx, tx, was.id); err != nil {
				return nil, err
			}
		}
	}
	for _, gone := range before {
		if gone.retired {
			continue
		}
		if _, err := tx.ExecContext(ctx, "UPDATE subscriptions SET retired_at = ? WHERE id = ?", time.Now().UnixMicro(), gone.id); err != nil {
			return nil, err
		}
		if err := registry.Report(ctx, tx, gone.id); err != nil {
			return nil, err
		}
	}
	return subs, nil
}

// registeredBefore returns the bus's subscriptions by name.
func registeredBefore(ctx context.Context, q row.Queryer) (map[string]registered, error) {
	rows, err := q.QueryContext(ctx, `
SELECT name, id, cursor, since, types, coalesce(was ->> 0, name), retired_at IS NOT NULL FROM subscriptions WHERE kind = 'bus' AND run_of = ''`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	before := map[string]registered{}
	for rows.Next() {
		var name string
		var r registered
		if err := rows.Scan(&name, &r.id, &r.cursor, &r.since, &r.types, &r.first, &r.retired); err != nil {
			return nil, err
		}
		before[name] = r
	}
	return before, rows.Err()
}

func (j *Journal) admitSubscriptions(subs []*subscription) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range subs {
		if j.subs[s.Name] != nil {
			return fmt.Errorf("%s is subscribed already", s.Name)
		}
	}
	for _, s := range subs {
		j.subs[s.Name] = s
	}
	return nil
}

func (j *Journal) dismiss(subs []*subscription) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range subs {
		if j.subs[s.Name] == s {
			delete(j.subs, s.Name)
		}
	}
}

// busSubscriber is a subscription as a Watermill subscriber. Close stops the deliveries.
type busSubscriber struct {
	s      *subscription
	once   sync.Once
	cancel context.CancelFunc
	ended  chan struct{}
}

// Subscribe starts the deliveries. The topic is only for the Router: the types were declared before.
func (b *busSubscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	err := error(nil)
	started := false
	b.once.Do(func() {
		started = true
		j := b.s.j
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.closing {
			err = journal.ErrClosed
			return
		}
		ctx, b.cancel = context.WithCancel(ctx)
		stop := context.AfterFunc(j.ctx, b.cancel)
		b.ended = make(chan struct{})
		j.running.Go(func() {
			defer close(b.ended)
			defer stop()
			b.s.run(ctx)
		})
	})
	if !started {
		return nil, fmt.Errorf("sqlite: %s is running already", b.s.Name)
	}
	return b.s.out, err
}

// Close stops the deliveries, and returns after the last.
func (b *busSubscriber) Close() error {
	if b.cancel != nil {
		b.cancel()
		<-b.ended
	}
	return nil
}
