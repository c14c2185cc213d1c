//go:build stress

package kafka_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
)

// TestPubSubStress runs the acceptance suite in its long form many times at once: go test -tags stress, STRESS_TEST_COUNT times.
func TestPubSubStress(t *testing.T) {
	c := constructor(MustCluster(t).ListenAddrs())
	long := features
	long.ForceShort = false
	tests.TestPubSubStressTest(t, long, c.pubSub, c.groupPubSub)
}
