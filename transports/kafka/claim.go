package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/journal"
)

// sending is what the place is called by which processes that only send are told apart. It is kept in a topic that each of them sends to,
// and nobody reads on from it.
const sending = "sending"

// claimTopic implements wire.Features.Claim. The mark goes with the offset 0 of partition 0, under a group of its own.
func (t *Transport) claimTopic(ctx context.Context, topic string, memory journal.Memory) (err error) {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.wg.Done()
	name, err := t.topic(topic)
	if err != nil {
		return err
	}
	t.self.Head(memory)
	ctx, cancel := context.WithTimeoutCause(ctx, t.patience(), fmt.Errorf("gave up after %v", t.patience()))
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	c := t.common()
	defer c.unless(ctx)()
	group := t.cfg.Group + "." + sending
	if err = t.ensure(ctx, c, name); err == nil {
		err = t.hold(ctx, keeper{c, group}, name, memory)
	}
	switch {
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrGroupAuthorizationFailed):
		t.warned.Set(name, noClaim, fmt.Sprintf("whether another process sends for a copy of this journal is not known: grant %s READ on topic %s, and on groups that begin with %s",
			t.who(), name, t.cfg.Group))
	case err == nil:
		t.warned.Set(name, noClaim, "")
	}
	if err != nil {
		return fmt.Errorf("kafka: claim %s: %w", name, t.explain(because(ctx, err), name, "READ"))
	}
	return nil
}

// hold looks at who wrote the mark last, and writes this process's unless it is there, and young.
func (t *Transport) hold(ctx context.Context, k keeper, topic string, memory journal.Memory) error {
	id, err := k.client.identity(topic)
	if err != nil {
		return err
	}
	places, err := k.committed(ctx, topic, []int32{0})
	if err != nil {
		return err
	}
	was := places[0]
	first := t.self.First(topic, k.group)
	if err := t.yield(was, memory, first, "sends as "+t.cfg.Group); err != nil {
		return err
	}
	if m := was.mark; first && was.ours && memory != nil && m.Journal == memory.ID() && m.Head > t.self.Head(memory) {
		t.warned.Set(topic, olderJournal, fmt.Sprintf("this journal, %s, ends at seq %d, and had %d when it last sent: it is restored from a backup, or a copy. "+
			"What it sent after the backup is with the other deployables only", m.Journal, t.self.Head(memory), m.Head))
	}
	if t.self.Wrote(was.mark) && time.Since(t.claimed) < keepEvery {
		return nil
	}
	if err := k.commit(ctx, topic, map[int32]int64{0: 0}, t.self.Mark(id, memory).String()); err != nil {
		return err
	}
	t.claimed = time.Now()
	return nil
}
