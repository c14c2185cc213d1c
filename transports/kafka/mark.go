package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// mark is kept with each offset, as its metadata: who wrote it. By it a process knows that its journal is not the one that the place
// was written for, that another process has taken over, and that the topic is another one than before.
type mark struct {
	Journal string `json:"journal,omitempty"` // its identity
	Head    int64  `json:"head,omitempty"`    // seq of its newest event
	Topic   string `json:"topic,omitempty"`   // the topic's identity
	Run     string `json:"run"`               // the process
	Since   int64  `json:"since"`             // when that began, in microseconds; later than that of everybody before it
}

// kept is what Kafka keeps of a partition.
type kept struct {
	offset int64 // -1 for none
	mark   mark
	ours   bool // mark is one of this program's
}

func newKept(block *sarama.OffsetFetchResponseBlock) kept {
	k := kept{offset: block.Offset}
	k.ours = json.Unmarshal([]byte(block.Metadata), &k.mark) == nil && k.mark.Run != ""
	return k
}

// mark is what s writes with its places.
func (s *subscription) mark() string {
	return s.t.mark(s.id, s.memory)
}

// mark is what this process writes with places in the topic of that identity, for the journal of m, if there is one.
func (t *Transport) mark(topic string, memory journal.Memory) string {
	m := mark{Topic: topic, Run: t.run, Since: t.since.Load()}
	if memory != nil {
		m.Journal, m.Head = memory.ID(), memory.Head()
	}
	text, _ := json.Marshal(m) // of strings and numbers, which cannot fail
	return string(text)
}

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
// that this one has not written it: then it is the later one, whatever the clock of the other one said.
func (t *Transport) yield(k kept, memory journal.Memory, first bool, does string) error {
	m := k.mark
	if !k.ours || m.Run == t.run || memory != nil && m.Journal != "" && m.Journal != memory.ID() {
		return nil
	}
	since := t.since.Load()
	switch {
	case m.Since < since:
	case first: // the clock of that process may be ahead of ours
		t.since.CompareAndSwap(since, m.Since+1)
	default:
		err := fmt.Errorf("%w: it started later, at %s, and %s on a copy of this journal, or as another deployable of this name: stop one of them; what both did since then is to be judged by a person",
			wire.ErrReplaced, time.UnixMicro(m.Since).UTC().Format(time.RFC3339), does)
		t.replace(err)
		return err
	}
	return nil
}

// start is where a partition is to be read from, and what there is to say of it.
type start struct {
	from    int64
	trouble string
	first   bool // it is read for the first time
}

// begins decides where partition id begins, of which Kafka keeps k and the journal notes n, if it does. Oldest is the first offset that
// there is.
func (s *subscription) begins(id int32, k kept, n journal.Noted, noted bool, oldest int64) start {
	where := fmt.Sprintf("topic %s, partition %d: ", s.topic, id)
	other := func(id string) bool { return id != "" && s.id != "" && id != s.id }
	anew := func(offset int64) start {
		return start{oldest, where + fmt.Sprintf("the topic was made anew since group %s read up to offset %d: what of the old one was not read is gone; read from the oldest, %d",
			s.group, offset, oldest), false}
	}
	if noted && other(n.Topic) {
		return anew(n.Next)
	}
	back := oldest // where the journal itself knows to have been
	if noted {
		back = max(n.Next, 0)
	}
	var mine string
	if s.memory != nil {
		mine = s.memory.ID()
	}
	switch m := k.mark; {
	case k.offset < 0 && !noted:
		if oldest > 0 {
			return start{oldest, where + fmt.Sprintf("offsets 0 to %d were deleted before group %s first read; read from %d", oldest-1, s.group, oldest), true}
		}
		return start{from: oldest, first: true}
	case k.offset < 0:
		s.warn(id, "Kafka has forgotten the place, or somebody deleted it: read on where the journal was", "offset", back)
		return start{from: back}
	case k.ours && other(m.Topic):
		return anew(k.offset)
	case k.ours && m.Journal != mine && m.Journal != "" && mine != "":
		return start{back, where + fmt.Sprintf("the place of group %s, offset %d, is that of another journal, %s: read from %d", s.group, k.offset, m.Journal, back), false}
	case k.ours && m.Journal != "" && mine != "" && m.Head > s.memory.Head():
		return start{back, where + fmt.Sprintf("this journal is older than the place of group %s, offset %d: it ends at seq %d, and had %d: it is restored from a backup, or a copy. "+
			"Read again from %d; what people asked of it after the backup is on its own topics only", s.group, k.offset, s.memory.Head(), m.Head, back), false}
	case !k.ours && noted && k.offset > back:
		return start{k.offset, where + fmt.Sprintf("somebody set the place of group %s from offset %d to %d: what lies between is not read", s.group, back, k.offset), false}
	}
	return start{from: k.offset}
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
