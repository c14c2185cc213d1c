package servers

import (
	"os"
	"testing"
)

// Kafka returns the bootstrap address of a real Kafka, from the environment variable TROUPE_TEST_KAFKA. Without the
// variable, it skips the test, with the command to run. Tests share the server: each uses its own topics and groups.
func Kafka(tb testing.TB) string {
	tb.Helper()
	address := os.Getenv("TROUPE_TEST_KAFKA")
	if address == "" {
		tb.Skipf("%s needs a real Kafka: make kafka, then TROUPE_TEST_KAFKA=127.0.0.1:9092 go test ...", tb.Name())
	}
	return address
}
