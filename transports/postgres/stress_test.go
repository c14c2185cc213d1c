//go:build stress

package postgres_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/troupebus/troupe/internal/servers"
)

// TestPubSubStress runs the acceptance suite in its long form, many times on one server: go test -tags stress,
// STRESS_TEST_COUNT times.
func TestPubSubStress(t *testing.T) {
	c := constructor{servers.Postgres(t)}
	tests.TestPubSubStressTest(t, features, c.pubSub, c.groupPubSub)
}
