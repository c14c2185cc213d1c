package kafka

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/mark"
)

// offset is a position in a partition.
type offset int64

// After implements mark.Position.
func (o offset) After(other offset) bool { return o > other }

// Offset implements mark.Position.
func (o offset) Offset() int64 { return int64(o) }

// kept is a partition's offset in Kafka. The mark is the metadata of the offset.
type kept struct {
	offset int64 // -1 for none
	mark   mark.Mark
	ours   bool // this program wrote the mark
}

func newKept(block *sarama.OffsetFetchResponseBlock) kept {
	k := kept{offset: block.Offset}
	k.mark, k.ours = mark.Parse(block.Metadata)
	return k
}

// mark returns the mark that s commits with its offsets.
func (s *subscription) mark() string { return s.t.self.Mark(s.id, s.memory).String() }

// claim checks who committed the offsets. Only the process that started last goes on, so the older of two processes on
// copies of a journal stops. first means that s has not committed yet.
func (s *subscription) claim(positions map[int32]kept, first bool) error {
	for _, k := range positions {
		if err := s.t.yield(k, s.memory, first, "reads as group "+s.group); err != nil {
			return err
		}
	}
	return nil
}

// yield returns a wire.ErrReplaced when k was committed by a later process on a copy of the journal of m. first means
// that this process has not committed yet.
func (t *Transport) yield(k kept, memory journal.Memory, first bool, does string) error {
	if !k.ours {
		return nil
	}
	err := t.self.Yield(k.mark, memory, first, does)
	if err != nil {
		t.setReplaced(err)
	}
	return err
}

// startAt decides where partition id begins. Kafka stores k, the journal notes n, unless noted is false, and oldest is
// the first existing offset.
func (s *subscription) startAt(id int32, k kept, n journal.Noted, noted bool, oldest int64) mark.Begin[offset] {
	known := mark.Known[offset]{
		Where: fmt.Sprintf("topic %s, partition %d", s.topic, id), Group: s.group, Topic: s.id, Oldest: offset(oldest), Mark: k.mark, Ours: k.ours,
	}
	if k.offset >= 0 {
		known.Kept = (*offset)(&k.offset)
	}
	if noted {
		next := offset(max(n.Next, 0))
		known.Noted, known.NotedIn = &next, n.Topic
	}
	at := known.Begin(s.t.self, s.memory)
	switch {
	case at.First && oldest > 0:
		at.Trouble = fmt.Sprintf("%s: offsets 0 to %d were deleted before group %s first read; reading begins at %d", known.Where, oldest-1, s.group, oldest)
	case at.Forgotten:
		s.warn(id, "Kafka has lost the position, or an operator deleted it: reading continues where the journal was", "offset", at.From.Offset())
	}
	return at
}

func (s *subscription) warn(partition int32, msg string, args ...any) {
	s.t.cfg.Logger.Warn("kafka: "+msg, append([]any{"topic", s.topic, "partition", partition, "group", s.group}, args...)...)
}

// noteName returns the name under which the journal notes the offsets.
func (s *subscription) noteName() string { return s.group + " " + s.topic }

// noted returns the offsets that the journal has noted.
func (s *subscription) noted(ctx context.Context) (map[int32]journal.Noted, error) {
	if s.memory == nil {
		return nil, nil
	}
	return s.memory.Noted(ctx, s.noteName())
}

// note makes the journal note offsets.
func (s *subscription) note(positions map[int32]int64) {
	if s.memory == nil {
		return
	}
	for id, next := range positions {
		s.memory.Note(s.noteName(), id, journal.Noted{Topic: s.id, Next: next})
	}
}

// identity returns the topic's id, which changes when the topic is created again. It is empty before Kafka 2.8.
func (c *client) identity(topic string) (string, error) {
	b := c.LeastLoadedBroker()
	if b == nil {
		return "", sarama.ErrOutOfBrokers
	}
	_ = b.Open(c.Config()) // fails only when open already
	res, err := b.GetMetadata(&sarama.MetadataRequest{Version: 10, Topics: []string{topic}})
	if err != nil {
		_ = b.Close() // the next user opens it again
		return "", err
	}
	for _, t := range res.Topics {
		switch {
		case t.Name != topic:
		case t.Uuid != (sarama.Uuid{}):
			return t.Uuid.String(), nil
		case t.Err != sarama.ErrNoError:
			return "", t.Err
		default:
			return "", nil
		}
	}
	return "", sarama.ErrIncompleteResponse
}
