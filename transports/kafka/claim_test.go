package kafka_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/wire"
)

// TestTwoProcessesThatOnlySend: of two processes on copies of one journal that only publish, the older one stops, whatever its clock says.
func TestTwoProcessesThatOnlySend(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		older, newer, third := MustTransport(t, cfg), MustTransport(t, cfg), MustTransport(t, cfg)
		claim := func(tr interface{ Features() wire.Features }, m *memory) error {
			return tr.Features().Claim(t.Context(), "_records", m)
		}
		copied := &memory{id: "j", head: 3}
		for range 2 {
			if err := claim(older, copied); err != nil {
				t.Fatal(err)
			}
		}
		if err := claim(newer, copied); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := claim(older, copied); !errors.Is(err, wire.ErrReplaced) || !strings.Contains(err.Error(), "copy of this journal") {
				t.Errorf("the older one goes on: %v", err)
			}
		}
		if err := older.Publish("order", numbered("k", 9, 10)...); !errors.Is(err, wire.ErrReplaced) {
			t.Errorf("the older one publishes: %v", err)
		}
		if err := claim(newer, copied); err != nil {
			t.Errorf("the newer one: %v", err)
		}
		restored := MustTransport(t, cfg)
		if err := claim(restored, &memory{id: "j", head: 2}); err != nil || !strings.Contains(restored.Features().Warnings()["_records"], "ends at seq 2, and had 3") {
			t.Errorf("that of an older journal: %v, %v", err, restored.Features().Warnings())
		}
		if err := claim(third, &memory{id: "another"}); err != nil {
			t.Errorf("that of another journal: %v", err)
		}
		MustPublish(t, restored, "order", numbered("k", 4, 5)...)
	})
}

// TestForeignTime: a topic that takes its times from the clocks of those who write is warned of, until that is mended.
func TestForeignTime(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers)
		cfg.Refresh = 50 * time.Millisecond
		admin := MustAdmin(t, brokers)
		defer admin.Close()
		for _, module := range []string{"order", "payment"} {
			foreign := "CreateTime"
			if err := admin.CreateTopic(cfg.Prefix+"."+module, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1,
				ConfigEntries: map[string]*string{"message.timestamp.type": &foreign}}, false); err != nil {
				t.Fatal(err)
			}
		}
		tr := MustTransport(t, cfg)
		MustSubscribe(t, tr, "order")
		MustPublish(t, tr, "payment", numbered("k", 0, 1)...)
		MustPublish(t, tr, "shipping", numbered("k", 0, 1)...)
		links := []wire.Link{{Topic: "order"}, {Topic: "payment", Out: true}, {Topic: "shipping", Out: true}}
		wire.Warn(links, tr.Features())
		for i, want := range []string{"message.timestamp.type=LogAppendTime", "message.timestamp.type=LogAppendTime", ""} {
			if got := links[i].Warning; !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%s: warning %q, want %q", links[i].Topic, got, want)
			}
		}
		mended := "LogAppendTime"
		for _, module := range []string{"order", "payment"} {
			err := admin.IncrementalAlterConfig(sarama.TopicResource, cfg.Prefix+"."+module, map[string]sarama.IncrementalAlterConfigsEntry{
				"message.timestamp.type": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &mended}}, false)
			if err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, func() bool {
			MustPublish(t, tr, "payment", numbered("k", 0, 1)...)
			return len(tr.Features().Warnings()) == 0
		}, "no warning: %v", tr.Features().Warnings())
	})
}
