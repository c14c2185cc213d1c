package kafka

import (
	"maps"
	"slices"
	"strings"
)

// What there may be to warn of about a topic, though it works.
const (
	foreignTime  = settingTime
	noClaim      = "claim"
	olderJournal = "older"
)

// warn notes what may go wrong with topic, "" for nothing, and has the log hear of it, once.
func (t *Transport) warn(topic, what, text string) {
	t.mu.Lock()
	was := t.warned[topic][what]
	if t.warned[topic] == nil {
		t.warned[topic] = map[string]string{}
	}
	if t.warned[topic][what] = text; text == "" {
		delete(t.warned[topic], what)
	}
	t.mu.Unlock()
	if text != was && text != "" {
		t.cfg.Logger.Warn("kafka: "+text, "topic", topic)
	}
}

// warns reports whether there is such a warning about topic.
func (t *Transport) warns(topic, what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.warned[topic][what] != ""
}

// warnings implements wire.Features.Warnings.
func (t *Transport) warnings() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]string{}
	for topic, warned := range t.warned {
		if len(warned) > 0 {
			all[strings.TrimPrefix(topic, t.cfg.Prefix+".")] = strings.Join(slices.Sorted(maps.Values(warned)), "; ")
		}
	}
	return all
}
