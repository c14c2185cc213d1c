package kafka

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestClocksAreCompared: a clock that is not the brokers' is told once, and records are stamped with the brokers' time.
func TestClocksAreCompared(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{0, 10 * time.Second, -10 * time.Second, 3 * time.Hour, -200 * time.Hour} {
		var log strings.Builder
		tr, err := New(Config{Brokers: []string{"127.0.0.1:1"}, Group: "g", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			tr.compareClock(time.Now().Add(ahead))
		}
		off := ahead.Abs() >= maxSkew
		if logged := strings.Count(log.String(), "clock differs from the brokers' clocks"); logged != 1 && off || logged != 0 && !off {
			t.Errorf("ahead by %v: logged %d times: %s", ahead, logged, log.String())
		}
		if got := time.Until(tr.now()); off && (got-ahead).Abs() > time.Minute || !off && got.Abs() > time.Minute {
			t.Errorf("ahead by %v: records are stamped %v ahead", ahead, got)
		}
		tr.compareClock(time.Now())
		if got := time.Until(tr.now()); got.Abs() > time.Minute {
			t.Errorf("when it is set, records are still stamped %v ahead", got)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
}
