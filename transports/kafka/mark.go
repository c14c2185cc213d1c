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

// kept is what Kafka keeps of a partition. The mark is the offset's metadata.
type kept struct {
	offset int64 // -1 for none
	mark   mark.Mark
	ours   bool // mark is one of this program's
}

func newKept(block *sarama.OffsetFetchResponseBlock) kept {
	k := kept{offset: block.Offset}
	k.mark, k.ours = mark.Parse(block.Metadata)
	return k
}

// mark is what s writes with its places.
func (s *subscription) mark() string { return s.t.self.Mark(s.id, s.memory).String() }

// claim looks at who else has written the places. Whoever started later has the right to go on: so the older of two processes on
// copies of a journal stops. First says that s has not written them itself.
func (s *subscription) claim(places map[int32]kept, first bool) error {
	for _, k := range places {
		if err := s.t.yield(k, s.memory, first, "reads as group "+s.group); err != nil {
			return err
		}
	}
	return nil
}

// yield is an ErrReplaced where k was written by a process on a copy of the journal of m that started later than this one. First says
// that this one has not written it.
func (t *Transport) yield(k kept, memory journal.Memory, first bool, does string) error {
	if !k.ours {
		return nil
	}
	err := t.self.Yield(k.mark, memory, first, does)
	if err != nil {
		t.replace(err)
	}
	return err
}

// begins decides where partition id begins, of which Kafka keeps k and the journal notes n, if it does. Oldest is the first offset that
// there is.
func (s *subscription) begins(id int32, k kept, n journal.Noted, noted bool, oldest int64) mark.Begin[offset] {
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
		at.Trouble = fmt.Sprintf("%s: offsets 0 to %d were deleted before group %s first read; read from %d", known.Where, oldest-1, s.group, oldest)
	case at.Forgotten:
		s.warn(id, "Kafka has forgotten the place, or somebody deleted it: read on where the journal was", "offset", at.From.Offset())
	}
	return at
}

func (s *subscription) warn(partition int32, msg string, args ...any) {
	s.t.cfg.Logger.Warn("kafka: "+msg, append([]any{"topic", s.topic, "partition", partition, "group", s.group}, args...)...)
}

// place is the name under which the journal notes how far it has read.
func (s *subscription) place() string { return s.group + " " + s.topic }

// noted is what the journal notes of the place.
func (s *subscription) noted(ctx context.Context) (map[int32]journal.Noted, error) {
	if s.memory == nil {
		return nil, nil
	}
	return s.memory.Noted(ctx, s.place())
}

// note has the journal note places.
func (s *subscription) note(places map[int32]int64) {
	if s.memory == nil {
		return
	}
	for id, next := range places {
		s.memory.Note(s.place(), id, journal.Noted{Topic: s.id, Next: next})
	}
}

// identity is the topic's, which one that is made anew does not have; "" where the broker has none (before Kafka 2.8).
func (c *client) identity(topic string) (string, error) {
	b := c.LeastLoadedBroker()
	if b == nil {
		return "", sarama.ErrOutOfBrokers
	}
	_ = b.Open(c.Config()) // says only that it is open
	res, err := b.GetMetadata(&sarama.MetadataRequest{Version: 10, Topics: []string{topic}})
	if err != nil {
		_ = b.Close() // it is opened anew when it is next asked for
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
