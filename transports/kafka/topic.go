package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/pause"
)

// What a message may take. Kafka's own limit, 1 MiB and a little with everything around it, is no limit for payloads of
// 1 MiB: so topics that are made here get one that is.
const (
	maxPayload = 1 << 20
	maxHeaders = 64 << 10
	maxMessage = maxPayload + maxHeaders + batchOverhead
	// batchOverhead is what a record batch takes beside its records.
	batchOverhead = 61
)

// retry is the pause before something is asked again of a broker that has not got it yet.
const retry = 50 * time.Millisecond

// ensure finds topic, makes it if it is missing, and waits until each of its partitions has a leader: one that was made a
// moment ago refuses to be used. Its error is not explained yet.
func (t *Transport) ensure(ctx context.Context, c *client, topic string) error {
	for {
		err := t.refresh(c, topic)
		switch {
		case err == nil:
			if led(c, topic) {
				return nil
			}
			err = sarama.ErrLeaderNotAvailable
		case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			if t.cfg.NoCreate {
				return missing{fmt.Errorf("it does not exist, and is not made here (Config.NoCreate): %s", creation(topic, &t.cfg))}
			}
			if err := t.create(c, topic); err != nil {
				return err
			}
		case !errors.Is(err, sarama.ErrLeaderNotAvailable):
			return err
		}
		if !pause.For(ctx, retry) {
			return because(ctx, err)
		}
	}
}

// led reports whether every partition has a leader.
func led(c *client, topic string) bool {
	all, err := c.Partitions(topic)
	if err != nil || len(all) == 0 {
		return false
	}
	writable, err := c.WritablePartitions(topic)
	return err == nil && len(writable) == len(all)
}

// create makes topic. That somebody else was faster is as good.
func (t *Transport) create(c *client, topic string) error {
	admin, err := sarama.NewClusterAdminFromClient(c.Client)
	if err != nil {
		return err
	}
	limit, brokersTime := strconv.Itoa(maxMessage), brokersTime
	err = admin.CreateTopic(topic, &sarama.TopicDetail{
		NumPartitions: t.cfg.Partitions, ReplicationFactor: t.cfg.Replication,
		ConfigEntries: map[string]*string{settingLimit: &limit, settingTime: &brokersTime},
	}, false)
	switch {
	case err == nil, errors.Is(err, sarama.ErrTopicAlreadyExists):
		return nil
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return missing{fmt.Errorf("it does not exist, and %s may not make it: grant CREATE on topic %s, or %s: %w", t.who(), topic, creation(topic, &t.cfg), err)}
	case errors.Is(err, sarama.ErrInvalidReplicationFactor):
		return missing{fmt.Errorf("it does not exist, and cannot be made with that many replicas: change Config.Replication (%d, where -1 is the broker's default.replication.factor): %w",
			t.cfg.Replication, err)}
	case errors.Is(err, sarama.ErrPolicyViolation), errors.Is(err, sarama.ErrInvalidConfig):
		return missing{fmt.Errorf("it does not exist, and the broker does not allow one like this: %s, changed as it says: %w", creation(topic, &t.cfg), err)}
	default:
		return fmt.Errorf("make the topic: %w", err)
	}
}

// creation says how somebody else makes topic.
func creation(topic string, cfg *Config) string {
	replication := ""
	if cfg.Replication > 0 {
		replication = fmt.Sprintf(" --replication-factor %d", cfg.Replication)
	}
	return fmt.Sprintf("make it with kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %d%s --config %s=%d --config %s=%s",
		strings.Join(cfg.Brokers, ","), topic, cfg.Partitions, replication, settingLimit, maxMessage, settingTime, brokersTime)
}

// The settings of a topic that matter here.
const (
	settingLimit   = "max.message.bytes"
	settingTime    = "message.timestamp.type"
	settingCleanup = "cleanup.policy"
	// brokersTime has the broker stamp records with its own time. By that of a producer whose clock is wrong, Kafka would refuse
	// them, or delete them at once as too old.
	brokersTime = "LogAppendTime"
)

// settings are those of a topic, as far as they are known: who may not ask (DESCRIBE_CONFIGS) hears of a limit from the broker when
// it is reached, which is as good.
type settings struct {
	limit   int // bytes that a batch may have
	known   bool
	time    string
	cleanup string
}

// settings asks for those of topic.
func (c *client) settings(topic string) (s settings, err error) {
	s.limit = maxMessage
	admin, err := sarama.NewClusterAdminFromClient(c.Client)
	if err != nil {
		return s, err
	}
	resources, err := admin.DescribeConfigs([]*sarama.ConfigResource{
		{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{settingLimit, settingTime, settingCleanup}},
	}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return s, err
	}
	for _, r := range resources {
		if r.ErrorCode != 0 {
			return s, sarama.KError(r.ErrorCode)
		}
		for _, e := range r.Configs {
			switch e.Name {
			case settingLimit:
				if n, err := strconv.Atoi(e.Value); err == nil {
					s.limit, s.known = min(n, maxMessage), true
				}
			case settingTime:
				s.time = e.Value
			case settingCleanup:
				s.cleanup = e.Value
			}
		}
	}
	return s, nil
}

// inspect asks for the settings of topic, refuses one that loses events by them, and has the log hear of what may go wrong. That they
// are not known is no trouble.
func (t *Transport) inspect(c *client, topic string) (settings, error) {
	s, err := c.settings(topic)
	if err != nil {
		return s, nil
	}
	alter := fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --topic %s --add-config", strings.Join(t.cfg.Brokers, ","), topic)
	if strings.Contains(s.cleanup, "compact") {
		return s, missing{fmt.Errorf("the topic is compacted (%s=%s): of each key only the newest event would stay; change that, %s %s=delete, or use another prefix",
			settingCleanup, s.cleanup, alter, settingCleanup)}
	}
	switch s.time {
	case "":
	case brokersTime:
		t.warned.Set(topic, foreignTime, "")
	default:
		t.warned.Set(topic, foreignTime, "the topic takes the time of events from the clocks of those who write: events of one that is behind are deleted at once, "+
			"and of one that is ahead refused. Have the broker stamp them: "+alter+" "+settingTime+"="+brokersTime)
	}
	return s, nil
}
