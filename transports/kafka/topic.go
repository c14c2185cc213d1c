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

// Sizes of a message. Kafka's default limit, 1 MiB with everything around the payload, is too small for payloads of 1
// MiB. So topics that we create get a larger limit.
const (
	maxPayload = 1 << 20
	maxHeaders = 64 << 10
	maxMessage = maxPayload + maxHeaders + batchOverhead
	// batchOverhead is the size of a record batch without its records.
	batchOverhead = 61
)

// retry is the pause before the next request to a broker that is not ready.
const retry = 50 * time.Millisecond

// ensure finds topic, creates it if it is missing, and waits until each partition has a leader, because a new topic
// refuses requests at first. The caller explains the error.
func (t *Transport) ensure(ctx context.Context, c *client, topic string) error {
	for {
		err := t.refresh(c, topic)
		switch {
		case err == nil:
			if hasLeaders(c, topic) {
				return nil
			}
			err = sarama.ErrLeaderNotAvailable
		case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			if t.cfg.NoCreate {
				return unusableTopic{fmt.Errorf("the topic does not exist, and Config.NoCreate is set: %s", creationHint(topic, &t.cfg))}
			}
			if err := t.create(c, topic); err != nil {
				return err
			}
		case !errors.Is(err, sarama.ErrLeaderNotAvailable):
			return err
		}
		if !pause.For(ctx, retry) {
			return withCause(ctx, err)
		}
	}
}

// hasLeaders reports whether every partition has a leader.
func hasLeaders(c *client, topic string) bool {
	all, err := c.Partitions(topic)
	if err != nil || len(all) == 0 {
		return false
	}
	writable, err := c.WritablePartitions(topic)
	return err == nil && len(writable) == len(all)
}

// create creates topic. A topic that another process has just created is no error.
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
		return unusableTopic{fmt.Errorf("the topic does not exist, and %s may not create it: grant CREATE on topic %s, or %s: %w", t.clientName(), topic, creationHint(topic, &t.cfg), err)}
	case errors.Is(err, sarama.ErrInvalidReplicationFactor):
		return unusableTopic{fmt.Errorf("the topic does not exist, and cannot be created with that many replicas: change Config.Replication (%d, where -1 is the broker's default.replication.factor): %w",
			t.cfg.Replication, err)}
	case errors.Is(err, sarama.ErrPolicyViolation), errors.Is(err, sarama.ErrInvalidConfig):
		return unusableTopic{fmt.Errorf("the topic does not exist, and the broker's policy forbids its creation: %s, with the settings that the broker allows: %w", creationHint(topic, &t.cfg), err)}
	default:
		return fmt.Errorf("create the topic: %w", err)
	}
}

// creationHint returns the command that creates topic.
func creationHint(topic string, cfg *Config) string {
	replication := ""
	if cfg.Replication > 0 {
		replication = fmt.Sprintf(" --replication-factor %d", cfg.Replication)
	}
	return fmt.Sprintf("create it with kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %d%s --config %s=%d --config %s=%s",
		strings.Join(cfg.Brokers, ","), topic, cfg.Partitions, replication, settingLimit, maxMessage, settingTime, brokersTime)
}

// The settings of a topic that matter to us.
const (
	settingLimit   = "max.message.bytes"
	settingTime    = "message.timestamp.type"
	settingCleanup = "cleanup.policy"
	// brokersTime makes the broker stamp records with its own time. With the time of a producer whose clock is wrong,
	// Kafka would refuse the records, or delete them at once as too old.
	brokersTime = "LogAppendTime"
)

// settings are the known settings of a topic. Reading them takes a right (DESCRIBE_CONFIGS). Without the right, the
// limit is known after the broker refuses a message, which is as good.
type settings struct {
	limit   int // size of a batch, in bytes
	known   bool
	time    string
	cleanup string
}

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

// inspect reads the settings of topic. It returns an error for settings that lose events, and logs a warning about
// risky settings. Unreadable settings are no error.
func (t *Transport) inspect(c *client, topic string) (settings, error) {
	s, err := c.settings(topic)
	if err != nil {
		return s, nil
	}
	alter := fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --topic %s --add-config", strings.Join(t.cfg.Brokers, ","), topic)
	if strings.Contains(s.cleanup, "compact") {
		return s, unusableTopic{fmt.Errorf("the topic is compacted (%s=%s), which keeps only the newest event of each key: change that with %s %s=delete, or use another prefix",
			settingCleanup, s.cleanup, alter, settingCleanup)}
	}
	switch s.time {
	case "":
	case brokersTime:
		t.warned.Set(topic, foreignTime, "")
	default:
		t.warned.Set(topic, foreignTime, "the topic takes timestamps from the writers' clocks: the events of a clock that is behind are deleted at once, "+
			"and those of a clock that is ahead are refused. Let the broker stamp them: "+alter+" "+settingTime+"="+brokersTime)
	}
	return s, nil
}
