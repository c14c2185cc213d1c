package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/observer"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Observer writes the events and delivery records of all deployables of a system into a journal of its own. A reader of
// the journal sees the whole system. No module runs on such a journal, and its content exists elsewhere.
type Observer struct {
	j       *Journal
	fromNow map[string]bool // subscriptions to events from their registration on
}

// Observe makes j an observer's journal, for good, and registers subs, the subscriptions of the whole system, so that
// readers see missing answers. A journal on which modules have run is refused with ErrDeployable, and modules cannot
// run on an observer's journal.
func (j *Journal) Observe(ctx context.Context, subs []journal.Subscription) (*Observer, error) {
	enter := func(tx *sql.Tx) error { return observer.Begin(context.WithoutCancel(ctx), tx, subs) }
	_, err := j.begin(ctx, enter)
	if err == nil {
		err = j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "observer"}, Durable: true, Run: func(u *commit.Unit) error { return enter(u.Tx()) }})
	}
	if err != nil {
		return nil, fmt.Errorf("observe on %s: %w", j.path, row.Explain(err))
	}
	o := &Observer{j, map[string]bool{}}
	for _, s := range subs {
		o.fromNow[s.Name] = s.FromNow
	}
	return o, nil
}

// Take makes events durable, in order and all or none, except known ones. Events of journal.RecordsType and
// journal.DelayedType are decoded, all others are stored. A record waits for its event if necessary. Take may be called
// for several topics at once.
func (o *Observer) Take(ctx context.Context, events []*journal.Event) error {
	err := o.j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "observer"}, Durable: true, Run: func(u *commit.Unit) error {
		return observer.Take(ctx, u, events, o.fromNow, o.j.cfg.Logger)
	}})
	if err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	return nil
}
