package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
)

// maxName is the maximum length of a name; PostgreSQL silently cuts off the rest.
const maxName = 63

// tableOf returns the name of a topic's table of a kind. It shortens a long name with a hash.
func tableOf(prefix, topic, kind string) string {
	name := prefix + "_" + topic + "_" + kind
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	end := "_" + hex.EncodeToString(sum[:8]) + "_" + kind
	return name[:maxName-len(end)] + end
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// lockOf returns the key of an advisory lock, with 64 bits, so that other programs do not use the same key.
func lockOf(parts ...string) int64 {
	sum := sha256.Sum256([]byte("troupe\x00" + strings.Join(parts, "\x00")))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// tables are the tables of a topic.
type tables struct{ topic, messages, offsets string }

func (t *Transport) tables(topic string) tables {
	return tables{topic, tableOf(t.config.Prefix, topic, "messages"), tableOf(t.config.Prefix, topic, "offsets")}
}

// Schema returns the statements that create the tables of a topic, the table of the identity, and the table of claims.
// They are for operators who create the tables themselves (Config.NoCreate). The program's role needs SELECT, INSERT,
// UPDATE and DELETE on the topic's tables, SELECT on the table of the identity, SELECT, INSERT and UPDATE on the table
// of claims, and USAGE on the sequence of the messages' offsets.
func Schema(prefix, topic string) string {
	var text strings.Builder
	for _, q := range append(append(statements(prefix, topic), identityStatements(prefix)...), claimsStatement(prefix)) {
		text.WriteString(q + ";\n")
	}
	return text.String()
}

func statements(prefix, topic string) []string {
	schema, offsets := adapters(prefix)
	var all []string
	for _, q := range append(schema.SchemaInitializingQueries(topic), offsets.SchemaInitializingQueries(topic)...) {
		all = append(all, strings.Join(strings.Fields(q.Query), " "))
	}
	table := tableOf(prefix, topic, "offsets")
	return append(all, addColumn(table, ownerColumn), addColumn(table, markColumn))
}

func addColumn(table, column string) string {
	return `ALTER TABLE ` + quoted(table) + ` ADD COLUMN IF NOT EXISTS ` + column + ` TEXT`
}

// ownerColumn names the deployable of a position. The name of the position does not say: "shop.eu" may be a position of
// "shop", or the only position of "shop.eu".
const ownerColumn = "deployable"

// adapters returns watermill-sql's adapters, with our names of tables.
func adapters(prefix string) (schema, watermillsql.DefaultPostgreSQLOffsetsAdapter) {
	named := func(kind string) func(topic string) string {
		return func(topic string) string { return quoted(tableOf(prefix, topic, kind)) }
	}
	return schema{watermillsql.DefaultPostgreSQLSchema{GenerateMessagesTableName: named("messages")}, prefix},
		watermillsql.DefaultPostgreSQLOffsetsAdapter{GenerateMessagesOffsetsTableName: named("offsets")}
}

// schema is watermill-sql's schema, with a column for the key, ids of any length, and binary payloads. watermill-sql's
// publishers can write to our tables.
type schema struct {
	watermillsql.DefaultPostgreSQLSchema
	prefix string
}

// SchemaInitializingQueries implements watermill-sql's interface.
func (s schema) SchemaInitializingQueries(topic string) []watermillsql.Query {
	return []watermillsql.Query{{Query: `CREATE TABLE IF NOT EXISTS ` + s.MessagesTable(topic) + ` (
		"offset" BIGSERIAL,
		"uuid" TEXT NOT NULL,
		"created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
		"key" TEXT,
		"payload" BYTEA,
		"metadata" JSON,
		"transaction_id" xid8 NOT NULL DEFAULT pg_current_xact_id(),
		PRIMARY KEY ("transaction_id", "offset"))`}}
}

// InsertQuery implements watermill-sql's interface. It passes the messages as arrays: the statement is always the same,
// so it is prepared once, and the number of parameters is not limited. The statement notifies the readers, which get
// the notification after the commit.
func (s schema) InsertQuery(topic string, msgs message.Messages) (watermillsql.Query, error) {
	ids, keys := make([]string, len(msgs)), make([]*string, len(msgs))
	payloads, metadata := make([][]byte, len(msgs)), make([]string, len(msgs))
	for i, msg := range msgs {
		var err error
		if metadata[i], err = encodeMetadata(msg); err != nil {
			return watermillsql.Query{}, err
		}
		ids[i], keys[i] = escape(msg.UUID), keyOf(msg)
		if payloads[i] = msg.Payload; payloads[i] == nil {
			payloads[i] = []byte{}
		}
	}
	return watermillsql.Query{
		Query: `WITH added AS (
			INSERT INTO ` + s.MessagesTable(topic) + ` ("uuid", "key", "payload", "metadata", "transaction_id")
			SELECT id, key, payload, metadata::json, pg_current_xact_id()
			FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[]) WITH ORDINALITY AS m (id, key, payload, metadata, n)
			ORDER BY n)
		SELECT pg_notify($5, '')`,
		Args: []any{ids, keys, payloads, metadata, tableOf(s.prefix, topic, "messages")},
	}, nil
}
