package kafka_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/kafka"
)

// memory is a journal's.
type memory struct {
	id   string
	head int64

	mu    sync.Mutex
	noted map[int32]journal.Noted
}

func (m *memory) ID() string  { return m.id }
func (m *memory) Head() int64 { return m.head }

func (m *memory) Noted(context.Context, string) (map[int32]journal.Noted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.noted), nil
}

func (m *memory) Note(_ string, partition int32, n journal.Noted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.noted == nil {
		m.noted = map[int32]journal.Noted{}
	}
	m.noted[partition] = n
}

// MustRemember subscribes with what a journal remembers until stop is called, which waits for the end.
func MustRemember(t *testing.T, tr *kafka.Transport, m *memory) (in <-chan *message.Message, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(wire.WithMemory(t.Context(), m))
	in, err := tr.Subscribe(ctx, "order")
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	return in, func() {
		cancel()
		for range in {
			continue
		}
	}
}

// wantNext takes messages, and checks and acknowledges them: an id, or a part of what is wrong.
func wantNext(t *testing.T, in <-chan *message.Message, want ...string) {
	t.Helper()
	for _, w := range want {
		m := Next(t, in)
		if trouble := m.Metadata[wire.MetaTrouble]; m.UUID != w && (trouble == "" || !strings.Contains(trouble, w)) {
			t.Fatalf("got %s %q, want %q", m.UUID, trouble, w)
		}
		m.Ack()
	}
}

// both runs a test on a Kafka in this process, and on a real one.
func both(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Helper()
	t.Run("kfake", func(t *testing.T) { t.Parallel(); test(t, MustCluster(t).ListenAddrs()) })
	t.Run("real", func(t *testing.T) { t.Parallel(); test(t, []string{servers.Kafka(t)}) })
}

// TestPositionThatIsLost: where Kafka has lost the position, the journal has not: what was deleted meanwhile is told, and nothing
// else is read again.
func TestPositionThatIsLost(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		m := &memory{id: "j", head: 1}
		tr := MustTransport(t, cfg)
		MustPublish(t, tr, "order", numbered("k", 0, 10)...)
		in, stop := MustRemember(t, tr, m)
		wantNext(t, in, "k-0", "k-1", "k-2")
		stop()
		admin := MustAdmin(t, brokers)
		defer admin.Close()
		if err := admin.DeleteConsumerGroup(cfg.Group); err != nil {
			t.Fatal(err)
		}
		in, stop = MustRemember(t, tr, m)
		wantNext(t, in, "k-3")
		stop()
		if err := admin.DeleteConsumerGroup(cfg.Group); err != nil {
			t.Fatal(err)
		}
		gone(t, brokers, cfg.Prefix+".order", 7)
		in, stop = MustRemember(t, tr, m)
		defer stop()
		wantNext(t, in, "offsets 4 to 6 are gone", "k-7", "k-8")
	})
}

// TestPositionBeforeAnythingIsNoted: a partition of which nothing was read yet has a position in the journal, too. So what is deleted
// after a first look is missed, although Kafka has forgotten that look, and also where the topic is made anew.
func TestPositionBeforeAnythingIsNoted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		topic := cfg.Prefix + ".order"
		m := &memory{id: "j"}
		tr := MustTransport(t, cfg)
		_, stop := MustRemember(t, tr, m)
		stop()
		MustPublish(t, tr, "order", numbered("k", 0, 5)...)
		admin := MustAdmin(t, brokers)
		defer admin.Close()
		if err := admin.DeleteConsumerGroup(cfg.Group); err != nil {
			t.Fatal(err)
		}
		gone(t, brokers, topic, 3)
		in, stop := MustRemember(t, tr, m)
		missed := Next(t, in)
		wantTrouble(t, missed, topic+"/0/0", "offsets 0 to 2 are gone")
		if missed.Metadata[wire.MetaFirst] != "" {
			t.Error("it is said to be the first look")
		}
		stop()
		m.noted = map[int32]journal.Noted{0: {Topic: m.noted[0].Topic}}
		if err := admin.DeleteTopic(topic); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return insist(MustTransport(t, cfg), numbered("k", 5, 6)) == nil }, "a new topic")
		in, stop = MustRemember(t, tr, m)
		defer stop()
		wantNext(t, in, "the topic was made anew", "k-5")
	})
}

// TestBeginningThatIsDeleted: who reads a topic for the first time hears of what was deleted before that.
func TestBeginningThatIsDeleted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		tr := MustTransport(t, cfg)
		MustPublish(t, tr, "order", numbered("k", 0, 10)...)
		gone(t, brokers, cfg.Prefix+".order", 4)
		in, stop := MustRemember(t, tr, &memory{id: "j"})
		defer stop()
		wantNext(t, in, "offsets 0 to 3 were deleted before group "+cfg.Group+" first read", "k-4")
	})
}

// TestJournalThatIsRestored: a journal that is older than its position in Kafka reads on where it was itself, and it is told.
func TestJournalThatIsRestored(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		m := &memory{id: "j", head: 20}
		tr := MustTransport(t, cfg)
		MustPublish(t, tr, "order", numbered("k", 0, 8)...)
		in, stop := MustRemember(t, tr, m)
		wantNext(t, in, "k-0", "k-1")
		stop()
		backup := &memory{id: "j", head: 15, noted: maps.Clone(m.noted)}
		in, stop = MustRemember(t, tr, m)
		wantNext(t, in, "k-2", "k-3", "k-4")
		stop()
		in, stop = MustRemember(t, MustTransport(t, cfg), backup)
		wantNext(t, in, "it ends at seq 15, and had 20: it is restored from a backup", "k-2", "k-3")
		stop()
		in, stop = MustRemember(t, MustTransport(t, cfg), backup)
		defer stop()
		wantNext(t, in, "k-4")
	})
}

// TestTwoProcesses: of two processes on copies of one journal, the older one stops, and stays so.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		older, newer := MustTransport(t, cfg), MustTransport(t, cfg)
		MustPublish(t, older, "order", numbered("k", 0, 4)...)
		in, _ := MustRemember(t, older, &memory{id: "j", head: 3})
		wantNext(t, in, "k-0")
		second, stop := MustRemember(t, newer, &memory{id: "j", head: 3})
		defer stop()
		for m := range in { // closes
			m.Ack()
		}
		for range 2 {
			if _, err := older.Subscribe(t.Context(), "order"); !errors.Is(err, wire.ErrReplaced) || !strings.Contains(err.Error(), "copy of this journal") {
				t.Errorf("the older one subscribes: %v", err)
			}
		}
		if err := older.Publish("order", numbered("k", 9, 10)...); !errors.Is(err, wire.ErrReplaced) {
			t.Errorf("the older one publishes: %v", err)
		}
		MustPublish(t, newer, "order", numbered("k", 4, 5)...)
		for m := Next(t, second); m.UUID != "k-4"; m = Next(t, second) {
			m.Ack()
		}
	})
}

// TestTopicMadeAnewAndGrown: a topic that was deleted and made anew is read from its oldest message, also when it has grown beyond the
// position, while it is read or between two times.
func TestTopicMadeAnewAndGrown(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		cfg.Refresh = 100 * time.Millisecond
		topic := cfg.Prefix + ".order"
		m := &memory{id: "j"}
		admin := MustAdmin(t, brokers)
		defer admin.Close()
		anew := func(from, to int) {
			if err := admin.DeleteTopic(topic); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool {
				err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
				return err == nil
			}, "the topic to be made anew")
			other := MustTransport(t, alone(brokers).WithPrefix(cfg.Prefix))
			eventually(t, func() bool { return other.Publish("order", numbered("k", from, to)...) == nil }, "messages in it")
		}
		tr := MustTransport(t, cfg)
		MustPublish(t, tr, "order", numbered("k", 0, 3)...)
		in, stop := MustRemember(t, tr, m)
		wantNext(t, in, "k-0", "k-1", "k-2")
		stop()
		anew(10, 20)
		in, stop = MustRemember(t, tr, m)
		wantNext(t, in, "the topic was made anew", "k-10", "k-11")
		anew(20, 40)
		for range in { // closes
			continue
		}
		stop()
		in, stop = MustRemember(t, tr, m)
		defer stop()
		wantNext(t, in, "the topic was made anew", "k-20")
	})
}

// TestPositionThatIsSet: whoever sets the position with Kafka's tools has it so, and it is told what is not read.
func TestPositionThatIsSet(t *testing.T) {
	t.Parallel()
	cfg := alone(MustCluster(t).ListenAddrs())
	m := &memory{id: "j"}
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 9)...)
	in, stop := MustRemember(t, tr, m)
	wantNext(t, in, "k-0", "k-1")
	stop()
	set := func(offset int64) {
		s := sarama.NewConfig()
		s.Version = sarama.V3_6_0_0
		c, err := sarama.NewClient(cfg.Brokers, s)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b, err := c.Coordinator(cfg.Group)
		if err != nil {
			t.Fatal(err)
		}
		req := sarama.NewOffsetCommitRequest(s, cfg.Group)
		req.AddBlock(cfg.Prefix+".order", 0, offset, 0, "")
		if res, err := b.CommitOffset(req); err != nil || res.Errors[cfg.Prefix+".order"][0] != sarama.ErrNoError {
			t.Fatal(err, res)
		}
	}
	set(5)
	in, stop = MustRemember(t, tr, m)
	wantNext(t, in, "from offset 2 to 5", "k-5")
	stop()
	set(1)
	in, stop = MustRemember(t, tr, m)
	defer stop()
	wantNext(t, in, "k-1")
}

// TestTroubleIsReportedUntilItIsAcknowledged: a process that ends before anybody has acknowledged where it begins, and why, leaves no trace: the
// next one tells it again.
func TestTroubleIsReportedUntilItIsAcknowledged(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		topic := cfg.Prefix + ".order"
		admin := MustAdmin(t, brokers)
		defer admin.Close()
		m := &memory{id: "j", head: 9}
		twice := func(trouble string, then ...string) {
			t.Helper()
			for range 2 {
				in, stop := MustRemember(t, MustTransport(t, cfg), m)
				if got := Next(t, in).Metadata[wire.MetaTrouble]; !strings.Contains(got, trouble) {
					t.Errorf("told %q, want %q", got, trouble)
				}
				stop()
			}
			in, stop := MustRemember(t, MustTransport(t, cfg), m)
			wantNext(t, in, append([]string{trouble}, then...)...)
			stop()
		}
		MustPublish(t, MustTransport(t, cfg), "order", numbered("k", 0, 5)...)
		gone(t, brokers, topic, 3)
		twice("offsets 0 to 2 were deleted before group", "k-3")
		m.head = 4
		twice("it ends at seq 4, and had 9")
		m.id, m.noted = "other", nil
		twice("is that of another journal, j", "k-3", "k-4")
		if err := admin.DeleteTopic(topic); err != nil {
			t.Fatal(err)
		}
		if err := insist(MustTransport(t, cfg), numbered("k", 5, 6)); err != nil {
			t.Fatal(err)
		}
		twice("the topic was made anew", "k-5")
	})
}
