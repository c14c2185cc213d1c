package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// SchemaAdapter lets watermill-sql's Publisher write into a journal's file, in the caller's *sql.Tx, with all other
// changes of the transaction. The journal's subscribers wake up after the commit. The adapter only publishes: use
// Journal to subscribe. The zero value works in any process. The owner of the journal should use Journal.SchemaAdapter:
// its commits are noticed sooner.
type SchemaAdapter struct{ j *Journal }

var _ watermillsql.SchemaAdapter = SchemaAdapter{}

// SchemaAdapter returns the adapter for transactions in this process.
func (j *Journal) SchemaAdapter() SchemaAdapter { return SchemaAdapter{j: j} }

const (
	foreignColumns = `id, type, version, source, key, time, correlation_id, causation_id, metadata, data`
	foreignRow     = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	foreignParams  = 10
	maxParams      = 32766 // SQLITE_MAX_VARIABLE_NUMBER
)

// InsertQuery implements watermill-sql's interface.
func (a SchemaAdapter) InsertQuery(topic string, msgs message.Messages) (watermillsql.Query, error) {
	if len(msgs) == 0 || len(msgs)*foreignParams > maxParams {
		return watermillsql.Query{}, fmt.Errorf("sqlite: publish %d messages in one call: want 1 to %d", len(msgs), maxParams/foreignParams)
	}
	args := make([]any, 0, len(msgs)*foreignParams)
	for _, m := range msgs {
		e := eventOf(topic, m)
		metadata, err := row.Metadata(e.Metadata)
		if err != nil {
			return watermillsql.Query{}, err
		}
		args = append(args, e.ID, e.Type, e.Version, e.Source, e.Key, e.Time.UnixMicro(), e.CorrelationID, e.CausationID,
			metadata, row.Blob(e.Data))
	}
	if a.j != nil {
		wake.Poke(a.j.hint)
	}
	return watermillsql.Query{
		Query: "INSERT INTO events (" + foreignColumns + ") VALUES " + foreignRow + strings.Repeat(", "+foreignRow, len(msgs)-1) +
			" ON CONFLICT (id, type) DO NOTHING",
		Args: args,
	}, nil
}

var errPublishOnly = errors.New("sqlite: the schema adapter is for publishing: subscribe with Journal.Subscriber")

// SelectQuery implements watermill-sql's interface. It returns no query: the adapter only publishes.
func (SchemaAdapter) SelectQuery(string, string, watermillsql.OffsetsAdapter) watermillsql.Query {
	return watermillsql.Query{}
}

// UnmarshalMessage implements watermill-sql's interface. It always returns an error.
func (SchemaAdapter) UnmarshalMessage(watermillsql.Scanner) (watermillsql.Row, error) {
	return watermillsql.Row{}, errPublishOnly
}

// SchemaInitializingQueries implements watermill-sql's interface. It returns none: Open has created the tables.
func (SchemaAdapter) SchemaInitializingQueries(string) []watermillsql.Query { return nil }

// SubscribeIsolationLevel implements watermill-sql's interface.
func (SchemaAdapter) SubscribeIsolationLevel() sql.IsolationLevel { return sql.LevelDefault }
