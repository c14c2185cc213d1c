package postgres_test

import (
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// features has no GuaranteedOrder, although order is kept: the suite takes that for waiting for one acknowledgement before the
// next message. Nor has it a command that restarts the server: the suite wants a channel to outlive that, and ours closes. It has
// RequireSingleInstance as Subscribe refuses a second reader of a group, of which the suite makes ten at once.
var features = tests.Features{
	ConsumerGroups:                   true,
	Persistent:                       true,
	NewSubscriberReceivesOldMessages: true,
	RequireSingleInstance:            true,
}

// TestPubSub runs Watermill's own acceptance suite in its short form.
func TestPubSub(t *testing.T) {
	c, f := constructor{servers.Postgres(t)}, features
	f.ForceShort = true
	tests.TestPubSub(t, f, c.pubSub, c.groupPubSub)
}

// TestPubSubInOrder runs the suite's test of order, which it leaves out with those features.
func TestPubSubInOrder(t *testing.T) {
	c, f := constructor{servers.Postgres(t)}, features
	f.GuaranteedOrder = true
	tests.TestPublishSubscribeInOrder(t, tests.TestContext{TestID: tests.NewTestID(), Features: f}, c.pubSub)
}

type constructor struct{ url string }

// pubSub returns a member of one common group. Only the suite's test of old messages wants strangers.
func (c constructor) pubSub(t *testing.T) (message.Publisher, message.Subscriber) {
	if strings.Contains(t.Name(), "TestNewSubscriberReceivesOldMessages") {
		return c.groupPubSub(t, watermill.NewUUID())
	}
	return c.groupPubSub(t, "common")
}

// groupPubSub makes two transports, as the suite closes one half and goes on with the other.
func (c constructor) groupPubSub(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	config := postgres.Config{URL: c.url, Group: group}
	return MustNew(t, config), MustNew(t, config)
}
