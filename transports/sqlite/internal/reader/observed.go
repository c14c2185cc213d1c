package reader

import (
	"context"
	"database/sql"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// OwnIngest is the observer's own subscription. Its dead letters are the gaps in the topics. The ingest of a deployable
// has part of a journal's id after the name.
const OwnIngest = "bus/ingest"

// Gaps returns the gaps in the topics of the observer whose journal tx, of a View, reads, unless a person has dropped
// the dead letter of the gap. With a gap the observer may lack events of the system.
func Gaps(ctx context.Context, tx *sql.Tx) (gaps []string, err error) {
	query := row.SQL(`
SELECT l.error FROM dead_letters l JOIN subscriptions s ON s.id = l.subscription
WHERE s.name = ? AND l.status = 'dead' AND EXISTS (SELECT 1 FROM observer) ORDER BY l.id`, OwnIngest)
	err = row.Each(ctx, tx, query, func(rows *sql.Rows) error {
		var gap string
		err := rows.Scan(&gap)
		gaps = append(gaps, gap)
		return err
	})
	return gaps, err
}

// RetiredNames returns the subscriptions that the last program does not have.
func RetiredNames(ctx context.Context, q row.Queryer) (map[string]bool, error) {
	names := map[string]bool{}
	err := row.Each(ctx, q, row.SQL("SELECT name FROM subscriptions WHERE kind = 'bus' AND retired_at IS NOT NULL"), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names[name] = true
		return err
	})
	return names, err
}

// GroupTopics returns the topics of plain consumer groups.
func GroupTopics(ctx context.Context, q row.Queryer) ([]string, error) {
	rows, err := q.QueryContext(ctx, "SELECT t.value FROM subscriptions s, json_each(s.types) t WHERE s.kind = 'group'")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var topics []string
	for rows.Next() {
		var t string
		if err := rows.Scan(&t); err != nil {
			return nil, err
		}
		topics = append(topics, t)
	}
	return topics, rows.Err()
}
