package reader

import (
	"context"
	"database/sql"
	"math"
	"slices"

	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// latestOfAll is the latest time of a part of the log that is not counted.
const latestOfAll = math.MaxInt64

// block is a part of the log that may have events for a filter.
type block struct{ after, upto, latest int64 }

// blocks are the counted blocks that may have events for a filter, in the order of the log, and the seq up to which the
// log is counted. With the zero value, every part of the log may have some.
type blocks struct {
	some    []block
	counted int64
}

// blocks returns the blocks with events of the types and times that f wants.
func (f EventFilter) blocks(ctx context.Context, tx *sql.Tx) (b blocks, err error) {
	if err := tx.QueryRowContext(ctx, "SELECT coalesce((SELECT upto FROM counted WHERE subscription = 0), 0)").Scan(&b.counted); err != nil {
		return b, row.Explain(err)
	}
	where, args := "1", []any{}
	if len(f.Types) > 0 {
		where, args = "type IN (SELECT value FROM json_each(:types))", append(args, sql.Named("types", row.List(f.Types)))
	}
	since := int64(math.MinInt64)
	if !f.Since.IsZero() {
		since = f.Since.UnixMicro()
	}
	args = append(args, sql.Named("since", since), sql.Named("first", f.AfterSeq/count.BlockSize))
	query := row.SQL("SELECT block, max(latest) FROM blocks WHERE block >= :first AND latest >= :since AND "+where+" GROUP BY block ORDER BY block", args...)
	err = row.Each(ctx, tx, query, func(rows *sql.Rows) error {
		var n, latest int64
		err := rows.Scan(&n, &latest)
		b.some = append(b.some, block{n * count.BlockSize, (n + 1) * count.BlockSize, latest})
		return err
	})
	return b, err
}

// skip returns the first seq from which on, after after, the log may have wanted events.
func (b blocks) skip(after, head int64) int64 {
	for _, x := range b.some {
		if x.upto > after {
			return min(max(after, x.after), head)
		}
	}
	return min(max(after, b.counted), head)
}

// backwards returns the parts of the log after after that may have wanted events, newest first.
func (b blocks) backwards(after, head int64) (parts []block) {
	for upto := head; upto > max(b.counted, after); {
		from := max(upto-count.BlockSize, b.counted, after)
		parts, upto = append(parts, block{from, upto, latestOfAll}), from
	}
	for _, x := range slices.Backward(b.some) {
		if x.upto > after {
			parts = append(parts, x)
		}
	}
	return parts
}
