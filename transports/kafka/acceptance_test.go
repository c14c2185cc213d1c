package kafka_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
)

// features are what is true of one reader of all partitions. A group is a name under which a position is kept: those who read
// under the same one at the same time share nothing out. In short form, as the long one is for `-tags stress`.
var features = tests.Features{
	ConsumerGroups:                      true,
	GuaranteedOrder:                     true,
	GuaranteedOrderWithSingleSubscriber: true,
	Persistent:                          true,
	NewSubscriberReceivesOldMessages:    true,
	ForceShort:                          true,
}

// TestPubSub runs Watermill's own acceptance suite.
func TestPubSub(t *testing.T) {
	c := constructor(MustCluster(t).ListenAddrs())
	tests.TestPubSub(t, features, c.pubSub, c.groupPubSub)
}

type constructor []string

func (c constructor) pubSub(t *testing.T) (message.Publisher, message.Subscriber) {
	return c.groupPubSub(t, watermill.NewUUID())
}

// groupPubSub makes a transport as plain Watermill wants it: one message at a time, and one order for all, as its messages have
// no keys.
func (c constructor) groupPubSub(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	cfg := config(c)
	cfg.Group, cfg.Partitions, cfg.Window = group, 1, 1
	return MustTransport(t, cfg), MustTransport(t, cfg) // which the suite closes one by one
}
