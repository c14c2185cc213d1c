package kafka_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/kafka"
)

// denyConfigs has c refuse to tell the settings of topics.
func denyConfigs(c *kfake.Cluster) {
	c.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		res := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			one := kmsg.NewDescribeConfigsResponseResource()
			one.ResourceType, one.ResourceName, one.ErrorCode = r.ResourceType, r.ResourceName, int16(sarama.ErrTopicAuthorizationFailed)
			res.Resources = append(res.Resources, one)
		}
		return res, nil, true
	})
}

// setting changes a setting of a topic.
func setting(t *testing.T, brokers []string, topic, name, value string) {
	t.Helper()
	admin := MustAdmin(t, brokers)
	defer admin.Close()
	err := admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		name: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
}

// large are messages of one key, with a payload of so many bytes that does not get smaller in Kafka.
func large(from, to, size int) []*message.Message {
	msgs := numbered("k", from, to)
	for i, m := range msgs {
		m.Payload = []byte(strings.Repeat(strconv.Itoa(i%10), size))
	}
	return msgs
}

// TestUnknownLimit lacks the right to read the limit of a topic: the answers of the broker show the limit. A large batch
// is sent in parts, in order. A message that is too large by itself is refused.
func TestUnknownLimit(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	denyConfigs(c)
	limits(t, c.ListenAddrs(), false)
}

// TestRealLimits does the same as TestLimitThatChanges at a real Kafka.
func TestRealLimits(t *testing.T) { limits(t, []string{servers.Kafka(t)}, true) }

// TestLimitThatChanges publishes directly after the limit is raised.
func TestLimitThatChanges(t *testing.T) {
	t.Parallel()
	limits(t, MustCluster(t).ListenAddrs(), false)
}

// limits publishes to a topic whose limit changes. A real broker applies a new limit a moment after its answer.
func limits(t *testing.T, brokers []string, real bool) {
	cfg := alone(brokers)
	cfg.Compression = "none"
	topic := cfg.Prefix + ".order"
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 1)...) // makes it
	setting(t, brokers, topic, "max.message.bytes", "8000")
	for n := 1; n < 201; n += 50 {
		MustPublish(t, tr, "order", large(n, n+50, 1000)...)
	}
	msgs := large(201, 206, 1000)
	msgs[3].Payload = make([]byte, 9000)
	for range 3 {
		var no *wire.Refused
		if err := tr.Publish("order", msgs...); !errors.As(err, &no) || no.At != 3 || !errors.Is(err, kafka.ErrTooLarge) {
			t.Fatalf("of one that is too large it says %v", err)
		}
	}
	MustPublish(t, tr, "order", slices.Delete(slices.Clone(msgs), 3, 4)...)
	setting(t, brokers, topic, "max.message.bytes", "20000")
	if real {
		eventually(t, func() bool { return tr.Publish("order", msgs[3]) == nil }, "the raised limit to count")
	} else {
		MustPublish(t, tr, "order", msgs[3])
	}
	in := MustSubscribe(t, tr, "order")
	var got []string
	seen := map[string]bool{}
	for len(got) < 206 {
		m := Next(t, in)
		m.Ack()
		if !seen[m.UUID] {
			got = append(got, m.UUID)
		}
		seen[m.UUID] = true
	}
	for i, id := range got[:201] {
		if want := fmt.Sprint("k-", i); id != want {
			t.Fatalf("message %d is %s, want %s", i, id, want)
		}
	}
	if want := []string{"k-201", "k-202", "k-203", "k-205", "k-204"}; !slices.Equal(got[201:], want) {
		t.Errorf("at last come %v, want %v", got[201:], want)
	}
}

// TestBrokersTime: a topic that is made here has the broker's time, whatever the clock of who writes to it says.
func TestBrokersTime(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	cfg := config(c.ListenAddrs())
	MustPublish(t, MustTransport(t, cfg), "order", numbered("k", 0, 1)...)
	admin := MustAdmin(t, cfg.Brokers)
	defer admin.Close()
	asked := []*sarama.ConfigResource{{Type: sarama.TopicResource, Name: "troupe.order", ConfigNames: []string{"message.timestamp.type"}}}
	results, err := admin.DescribeConfigs(asked, sarama.DescribeConfigsOptions{})
	if err != nil || len(results) != 1 || len(results[0].Configs) != 1 || results[0].Configs[0].Value != "LogAppendTime" {
		t.Errorf("the topic's time is %v, %v, want LogAppendTime", results, err)
	}
}

// refusal answers a request to store messages with an error for each partition.
func refusal(req kmsg.Request, why sarama.KError) *kmsg.ProduceResponse {
	res := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range req.(*kmsg.ProduceRequest).Topics {
		one := kmsg.NewProduceResponseTopic()
		one.Topic, one.TopicID = topic.Topic, topic.TopicID
		for _, p := range topic.Partitions {
			refused := kmsg.NewProduceResponseTopicPartition()
			refused.Partition, refused.ErrorCode = p.Partition, int16(why)
			one.Partitions = append(one.Partitions, refused)
		}
		res.Topics = append(res.Topics, one)
	}
	return res
}

// TestWrongClock: where a topic takes the time from who writes, and finds it wrong, the error names the clock, and the cure.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	c := MustCluster(t, kfake.SeedTopics(1, "troupe.order"))
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return refusal(req, sarama.ErrInvalidTimestamp), nil, true
	})
	var log strings.Builder
	cfg := config(c.ListenAddrs())
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	err := MustTransport(t, cfg).Publish("order", numbered("k", 0, 1)...)
	for _, part := range []string{"clock", "troupe.order", "message.timestamp.type=LogAppendTime"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not tell %q: %v", part, err)
		}
	}
	if !strings.Contains(log.String(), "message.timestamp.type=LogAppendTime") {
		t.Errorf("the log does not tell that clocks matter: %q", log.String())
	}
}

// TestCompactedTopicIsRefused: it would keep one event of each key only.
func TestCompactedTopicIsRefused(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	if err := c.CreateTopic("troupe.order", 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	tr := MustTransport(t, config(c.ListenAddrs()))
	_, read := tr.Subscribe(t.Context(), "order")
	for _, err := range []error{read, tr.Publish("order", numbered("k", 0, 1)...)} {
		if err == nil || !strings.Contains(err.Error(), "compacted") || !strings.Contains(err.Error(), "cleanup.policy=delete") {
			t.Errorf("of a compacted topic it says %v", err)
		}
	}
	setting(t, c.ListenAddrs(), "troupe.order", "cleanup.policy", "delete")
	MustPublish(t, tr, "order", numbered("k", 0, 1)...)
}

// TestLastTryIsCutShort lets a broker refuse the first try of a message, and not answer the second: the error has the
// refusal.
func TestLastTryIsCutShort(t *testing.T) {
	t.Parallel()
	c := MustCluster(t, kfake.SeedTopics(1, "troupe.order"))
	cfg := config(c.ListenAddrs())
	cfg.Timeout = time.Second
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 1)...)
	answer := make(chan struct{})
	t.Cleanup(func() { close(answer) })
	first := true
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !first {
			c.SleepControl(func() { <-answer })
			return nil, nil, false
		}
		first = false
		return refusal(req, sarama.ErrNotEnoughReplicas), nil, true
	})
	if err := tr.Publish("order", numbered("k", 1, 2)...); err == nil || !strings.Contains(err.Error(), "min.insync.replicas") {
		t.Errorf("the error is %v", err)
	}
}
