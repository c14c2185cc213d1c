package row

import (
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/troupebus/troupe/bus/journal"
)

// EventColumns are the columns of the table events that ScanEvent reads.
const EventColumns = `seq, id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, metadata, data`

// Scanner is a *sql.Row or *sql.Rows.
type Scanner interface {
	// Scan copies the columns of the row into dest.
	Scan(dest ...any) error
}

// ScanEvent reads a row of EventColumns and then, into more, the columns that follow.
func ScanEvent(row Scanner, more ...any) (*journal.Event, error) {
	var e journal.Event
	var micros int64
	var metadata sql.NullString
	dest := append([]any{&e.Seq, &e.ID, &e.Type, &e.Version, &e.Source, &e.Key, &micros, &e.CorrelationID, &e.CausationID,
		&e.Subscription, &e.Hops, &metadata, &e.Data}, more...)
	if err := row.Scan(dest...); err != nil {
		return nil, err
	}
	e.Time = Time(micros)
	if metadata.Valid {
		if err := json.Unmarshal([]byte(metadata.String), &e.Metadata); err != nil {
			return nil, fmt.Errorf("metadata of event %d: %w", e.Seq, err)
		}
	}
	return &e, nil
}

// ScanEvents reads and closes rows of EventColumns, until the events have maxBytes.
func ScanEvents(rows *sql.Rows, maxBytes int) (events []*journal.Event, err error) {
	defer func() { _ = rows.Close() }()
	for bytes := 0; bytes < maxBytes && rows.Next(); {
		e, err := ScanEvent(rows)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
		bytes += EventSize(e)
	}
	return events, rows.Err()
}

// EventSize returns the bytes of the payload and metadata of e in memory.
func EventSize(e *journal.Event) int {
	n := len(e.Data)
	for k, v := range e.Metadata {
		n += len(k) + len(v)
	}
	return n
}

// Blob returns b, or an empty blob for a nil b, which SQLite would store as NULL.
func Blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Metadata returns m as JSON for the column metadata, or nil (NULL) when m is empty.
func Metadata(m map[string]string) (any, error) {
	if len(m) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return string(b), nil
}
