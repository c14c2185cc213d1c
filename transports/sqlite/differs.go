package sqlite

import (
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
)

// differs logs events that have the id of another event of their source, and other content. The journal keeps the first event: an id
// belongs to one event for ever (CloudEvents 1.0, section "id").
type differs struct{ problem oncelog.Problem }

// log reports e, now or with a later event.
func (d *differs) log(logger *slog.Logger, e *journal.Event) {
	events := d.problem.Failed(time.Now())
	if events == 0 {
		return
	}
	logger.Warn("an event has the id of one that is there, and other content, and is dropped: its sender is to give each event an id of its own",
		slog.String("event_id", e.ID), slog.String("type", e.Type), slog.String("source", e.Source), slog.Int("events", events))
}
