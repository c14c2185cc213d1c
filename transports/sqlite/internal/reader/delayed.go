package reader

import (
	"database/sql"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// SelectDelayed reads at most ?2 delayed events after the one with the id ?1.
const SelectDelayed = `
SELECT id, event_id, type, key, due_at, causation_id, subscription, correlation_id, name, 0 FROM delayed WHERE id > ? ORDER BY id LIMIT ?`

// SelectCancelled does the same with cancelled events.
const SelectCancelled = `
SELECT id, event_id, type, key, due_at, causation_id, subscription, correlation_id, name, cancelled_at FROM cancelled WHERE id > ? ORDER BY id LIMIT ?`

// ScanDelayed reads a row of SelectDelayed or SelectCancelled.
func ScanDelayed(rows *sql.Rows) (id int64, d journal.Delayed, err error) {
	var due, cancelled int64
	err = rows.Scan(&id, &d.ID, &d.Type, &d.Key, &due, &d.CausationID, &d.Subscription, &d.CorrelationID,
		&d.Name, &cancelled)
	d.Due, d.CancelledAt = row.TimeOrZero(due), row.TimeOrZero(cancelled)
	return id, d, err
}
