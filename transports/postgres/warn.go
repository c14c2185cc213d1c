package postgres

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// What there may be to warn of about a topic, though it works.
const (
	noMark       = "mark"
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
		t.config.Logger.Warn("postgres: "+text, slog.String("topic", topic))
	}
}

// warnings implements wire.Features.Warnings.
func (t *Transport) warnings() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]string{}
	for topic, warned := range t.warned {
		if len(warned) > 0 {
			all[topic] = strings.Join(slices.Sorted(maps.Values(warned)), "; ")
		}
	}
	return all
}

// warnUnmarked warns of a topic whose places have no marks, where nobody could add the column.
func (t *Transport) warnUnmarked(tb tables, marked bool) {
	text := ""
	if !marked {
		text = "table " + tb.offsets + " has no column for marks: a journal that is restored from a backup is not noticed," +
			" and what came after the backup is not read again: have it made with: " + addColumn(tb.offsets, markColumn)
	}
	t.warn(tb.topic, noMark, text)
}
