package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/troupebus/troupe/transports/sqlite"
)

var features = tests.Features{
	ConsumerGroups:                   true,
	ExactlyOnceDelivery:              true,
	GuaranteedOrder:                  true,
	Persistent:                       true,
	NewSubscriberReceivesOldMessages: true,
}

// TestPubSub runs Watermill's own acceptance suite on one journal.
func TestPubSub(t *testing.T) {
	c := constructor{MustOpen(t, filepath.Join(t.TempDir(), "journal.db"), sqlite.Config{})}
	tests.TestPubSub(t, features, c.pubSub, c.groupPubSub)
}

// TestPubSubClosing runs the tests that the suite leaves out where delivery is exactly once: subscribers that come
// and go.
func TestPubSubClosing(t *testing.T) {
	c := constructor{MustOpen(t, filepath.Join(t.TempDir(), "journal.db"), sqlite.Config{})}
	f := features
	f.ExactlyOnceDelivery = false
	for name, test := range map[string]func(*testing.T, tests.TestContext, tests.PubSubConstructor){
		"continue": tests.TestContinueAfterSubscribeClose, "concurrent": tests.TestConcurrentClose,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, tests.TestContext{TestID: tests.NewTestID(), Features: f}, c.pubSub)
		})
	}
}

type constructor struct{ j *sqlite.Journal }

// pubSub returns a member of one common group: with exactly-once delivery the suite wants the members of a group to
// share the messages. Only its test of old messages wants subscribers that are strangers to each other.
func (c constructor) pubSub(t *testing.T) (message.Publisher, message.Subscriber) {
	if strings.Contains(t.Name(), "TestNewSubscriberReceivesOldMessages") {
		return c.groupPubSub(t, watermill.NewUUID())
	}
	return c.groupPubSub(t, "common")
}

func (c constructor) groupPubSub(_ *testing.T, group string) (message.Publisher, message.Subscriber) {
	return c.j.Publisher(), c.j.Subscriber(group)
}

// MustOpen opens a journal that is closed with the test.
func MustOpen(tb testing.TB, path string, cfg sqlite.Config) *sqlite.Journal {
	tb.Helper()
	j, err := sqlite.Open(tb.Context(), path, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := j.Close(); err != nil {
			tb.Error(err)
		}
	})
	return j
}
