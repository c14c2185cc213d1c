package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/journal"
)

// senderSuffix ends the name of the group under which a process marks the topics to which it sends. Processes that only
// send notice each other by these marks. No subscription reads from the group's offsets.
const senderSuffix = "sending"

// claimTopic implements wire.Features.Claim. It commits the mark with offset 0 of partition 0, under its own group.
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
	caller, began := ctx, time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, t.patience(), fmt.Errorf("gave up after %v", t.patience()))
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	c := t.common()
	defer c.cutIfHanging(ctx)()
	group := t.cfg.Group + "." + senderSuffix
	if err = t.ensure(ctx, c, name); err == nil {
		err = t.holdClaim(ctx, keeper{c, group}, name, memory)
	}
	t.waited(caller, time.Since(began), err)
	switch {
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrGroupAuthorizationFailed):
		t.warned.Set(name, noClaim, fmt.Sprintf("cannot detect another process that sends for a copy of this journal: grant %s READ on topic %s, and on all groups whose names begin with %s",
			t.clientName(), name, t.cfg.Group))
	case err == nil:
		t.warned.Set(name, noClaim, "")
	}
	if err != nil {
		return fmt.Errorf("claim %s: %w", name, t.explain(withCause(ctx, err), name, "READ"))
	}
	return nil
}

// holdClaim reads the mark in topic. It writes this process's mark over another mark, and again after keepEvery.
func (t *Transport) holdClaim(ctx context.Context, k keeper, topic string, memory journal.Memory) error {
	id, err := k.client.identity(topic)
	if err != nil {
		return err
	}
	positions, err := k.committed(ctx, topic, []int32{0})
	if err != nil {
		return err
	}
	before := positions[0]
	first := t.self.First(topic, k.group)
	if err := t.yield(before, memory, first, "sends as "+t.cfg.Group); err != nil {
		return err
	}
	m := before.mark
	if first && before.ours && memory != nil && m.Journal == memory.ID() && m.Head > t.self.Head(memory) {
		t.warned.Set(topic, olderJournal, fmt.Sprintf("this journal, %s, ends at seq %d, and had %d when it last sent: it was restored from a backup, or is a copy. "+
			"Only the other deployables have the events that it sent after the backup", m.Journal, t.self.Head(memory), m.Head))
	}
	if t.self.Wrote(before.mark) && time.Since(t.claimed) < keepEvery {
		return nil
	}
	if err := k.commit(ctx, topic, map[int32]int64{0: 0}, t.self.Mark(id, memory).String()); err != nil {
		return err
	}
	t.claimed = time.Now()
	return nil
}
