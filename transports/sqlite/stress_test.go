//go:build stress

package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/troupebus/troupe/transports/sqlite"
)

// TestPubSubStress runs the acceptance suite many times at once on one journal: go test -tags stress, STRESS_TEST_COUNT
// times.
func TestPubSubStress(t *testing.T) {
	c := constructor{MustOpen(t, filepath.Join(t.TempDir(), "journal.db"), sqlite.Config{})}
	tests.TestPubSubStressTest(t, features, c.pubSub, c.groupPubSub)
}
