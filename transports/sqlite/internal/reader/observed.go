package reader

import (
	"context"
	"database/sql"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// OwnIngest is the subscription of an observer itself that has what it did not get as dead letters. Those of
// deployables have the beginning of a journal's id behind their names.
const OwnIngest = "bus/ingest"

// Gaps returns what the observer whose journal tx, of a View, reads did not get of the topics, as far as nobody has
// dropped that as a dead letter: until then what it shows of the system may lack something.
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

// RetiredNames returns the names of the subscriptions that the program which ran last does not have.
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
