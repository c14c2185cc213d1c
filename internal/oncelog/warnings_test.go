package oncelog

import (
	"log/slog"
	"maps"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	w := NewWarnings(slog.New(slog.NewTextHandler(&log, nil)), "kafka: ")
	for _, step := range []struct {
		topic, kind, text string
		lines             int // in the log afterwards
	}{
		{"a", "clock", "", 0},
		{"a", "clock", "wrong", 1},
		{"a", "clock", "wrong", 1},
		{"b", "clock", "wrong", 2},
		{"a", "clock", "very wrong", 3},
		{"a", "backup", "old", 4},
		{"b", "clock", "", 4},
		{"b", "clock", "wrong", 5},
		{"b", "clock", "", 5},
	} {
		w.Set(step.topic, step.kind, step.text)
		if lines := strings.Count(log.String(), "\n"); lines != step.lines {
			t.Errorf("%+v: %d lines", step, lines)
		}
		if got := w.Has(step.topic, step.kind); got != (step.text != "") {
			t.Errorf("%+v: has a warning: %v", step, got)
		}
	}
	if got, want := w.ByTopic(), map[string]string{"a": "old; very wrong"}; !maps.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
	if !strings.Contains(log.String(), `msg="kafka: wrong" topic=a`) {
		t.Error(log.String())
	}
}
