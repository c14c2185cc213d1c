package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

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
		if subs, err = j.registerAll(ctx, u, specs); err != nil {
			return err
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

// registerAll stores specs, and returns the subscriptions that run here. Open events of lost types become dead letters.
func (j *Journal) registerAll(ctx context.Context, u *commit.Unit, specs []journal.Subscription) (
	[]*subscription, error,
) {
	rows, err := registry.Register(ctx, u.Tx(), specs, j.tail.Newest())
	if err != nil {
		return nil, err
	}
	here := slices.DeleteFunc(slices.Clone(specs), func(s journal.Subscription) bool { return s.Elsewhere })
	subs := make([]*subscription, len(rows))
	for i, r := range rows {
		s := newSubscription(j, here[i], r)
		if r.Answered {
			s.answered = j.tail.Newest()
		}
		if err := s.buryLost(ctx, u, r.Change); err != nil {
			return nil, err
		}
		subs[i] = s
	}
	return subs, nil
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
