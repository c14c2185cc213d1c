package oncelog

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Warnings keeps warnings about working topics, and logs each warning once. The methods are safe for concurrent use.
type Warnings struct {
	logger *slog.Logger
	prefix string // begins each log line, such as "kafka: "

	mu    sync.Mutex
	texts map[string]map[string]string // by topic and kind
}

// NewWarnings returns Warnings for logger. The log lines begin with prefix.
func NewWarnings(logger *slog.Logger, prefix string) *Warnings {
	return &Warnings{logger: logger, prefix: prefix, texts: map[string]map[string]string{}}
}

// Set replaces the warning of a kind about topic, and logs a changed text. An empty text removes the warning.
func (w *Warnings) Set(topic, kind, text string) {
	w.mu.Lock()
	before := w.texts[topic][kind]
	if w.texts[topic] == nil {
		w.texts[topic] = map[string]string{}
	}
	if w.texts[topic][kind] = text; text == "" {
		delete(w.texts[topic], kind)
	}
	w.mu.Unlock()
	if text != before && text != "" {
		w.logger.Warn(w.prefix+text, "topic", topic)
	}
}

// Has reports whether there is a warning of the kind about topic.
func (w *Warnings) Has(topic, kind string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.texts[topic][kind] != ""
}

// ByTopic returns the warnings about each topic as a single text.
func (w *Warnings) ByTopic() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]string{}
	for topic, texts := range w.texts {
		if len(texts) > 0 {
			all[topic] = strings.Join(slices.Sorted(maps.Values(texts)), "; ")
		}
	}
	return all
}
