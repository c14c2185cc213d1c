package reader

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// An open read transaction keeps the write-ahead log from starting over, and the output may wait for a person with a
// pager. So the log is read in pages. No transaction is open while the events of a page are passed on.
const (
	pageEvents = 1000
	pageBytes  = 4 << 20
	pageLog    = 16 * count.BlockSize // seqs that are searched for a page
)

// pages reads the events for a filter in pages.
type pages struct {
	r      *Reader
	f      EventFilter
	after  int64   // events after after remain
	head   int64   // the last seq to read
	left   int     // of f.Limit
	blocks blocks  // possible blocks
	sorted []int64 // seqs, unless in the order of the log
}

// begin finds the first and the last seq to read.
func (p *pages) begin(ctx context.Context) error {
	p.after, p.left = p.f.AfterSeq, p.f.Limit
	return p.r.View(ctx, func(tx *sql.Tx) (err error) {
		observed := false
		if p.f.Newest {
			if observed, err = Observes(ctx, tx); err != nil {
				return fmt.Errorf("read events: %w", err)
			}
		}
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&p.head); err != nil {
			return fmt.Errorf("read events: %w", row.Explain(err))
		}
		if observed || !p.f.indexed() && (len(p.f.Types) > 0 || !p.f.Since.IsZero()) {
			if p.blocks, err = p.f.blocks(ctx, tx); err != nil {
				return err
			}
		}
		switch {
		case observed:
			p.sorted, err = p.latest(ctx, tx)
		case p.f.Newest && p.f.Limit > 0:
			var newest []int64
			if newest, err = p.newest(ctx, tx); len(newest) > 0 {
				p.after = newest[len(newest)-1] - 1
			} else {
				p.after = p.head
			}
		}
		return err
	})
}

// inOrder calls fn with the events in the order of the log.
func (p *pages) inOrder(ctx context.Context, fn func(*journal.Event) error) error {
	for p.after < p.head {
		limit := pageEvents
		if p.f.Limit > 0 {
			limit = min(limit, p.left)
		}
		var page []*journal.Event
		err := p.r.View(ctx, func(tx *sql.Tx) error {
			seqs, looked, err := p.next(ctx, tx, limit)
			if err != nil {
				return err
			}
			if page, err = readPage(ctx, tx, seqs); err != nil {
				return err
			}
			if len(page) < len(seqs) { // the page was full
				looked = page[len(page)-1].Seq
			}
			p.after = looked
			return nil
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := fn(e); err != nil {
				return err
			}
		}
		if p.left -= len(page); p.f.Limit > 0 && p.left == 0 {
			return nil
		}
	}
	return nil
}

// bySeq calls fn with the sorted events.
func (p *pages) bySeq(ctx context.Context, fn func(*journal.Event) error) error {
	for left := p.sorted; len(left) > 0; {
		var page []*journal.Event
		err := p.r.View(ctx, func(tx *sql.Tx) (err error) {
			page, err = readPage(ctx, tx, left[:min(len(left), pageEvents)])
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil // events are never deleted
		}
		left = left[len(page):]
		for _, e := range page {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// errFull ends a page.
var errFull = errors.New("sqlite: the page is full")

// readPage reads the events with these seqs, in this order, until the page is full. A CROSS JOIN keeps the order
// without a sorter in memory.
func readPage(ctx context.Context, tx *sql.Tx, seqs []int64) (page []*journal.Event, err error) {
	bytes := 0
	query := row.SQL("WITH j(n) AS (SELECT value FROM json_each(?)) SELECT "+row.EventColumns+" FROM j CROSS JOIN events ON seq = n", row.List(seqs))
	err = row.Each(ctx, tx, query, func(rows *sql.Rows) error {
		e, err := row.ScanEvent(rows)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		page = append(page, e)
		if bytes += len(e.Data); bytes >= pageBytes {
			return errFull
		}
		return nil
	})
	if errors.Is(err, errFull) {
		err = nil
	}
	return page, err
}

const (
	countedUpto = "coalesce((SELECT upto FROM counted WHERE subscription = 0), 0)"

	// ofKey selects the events of a key between :after and :upto: from the flow with the name of the key, from counted
	// flows, and from the part of the log that is not counted.
	ofKey = `
SELECT seq FROM events WHERE correlation_id = :key AND key = :key AND seq > :after AND seq <= :upto
UNION ALL SELECT e.seq FROM (SELECT DISTINCT correlation_id FROM keys WHERE key = :key AND block >= :after / 4096 AND block <= :upto / 4096) k
	CROSS JOIN events e ON e.correlation_id = k.correlation_id
	WHERE e.key = :key AND e.key <> e.correlation_id AND e.seq > :after AND e.seq <= min(:upto, ` + countedUpto + `)
UNION ALL SELECT seq FROM events NOT INDEXED WHERE key = :key AND key <> correlation_id AND seq > max(:after, ` + countedUpto + `) AND seq <= :upto`
)

// seqs returns the seqs of events after after, up to upto, that f wants, ordered by the log: ascending, or descending
// with "DESC".
func (f EventFilter) seqs(
	ctx context.Context, tx *sql.Tx, after, upto int64, order string, limit int,
) (seqs []int64, err error) {
	where, args := f.matches()
	ordered := " AND seq > :after AND seq <= :upto ORDER BY seq " + order + " LIMIT :limit"
	query := "SELECT seq FROM events WHERE " + where + ordered
	if f.Key != "" {
		query = "SELECT seq FROM (" + ofKey + ") CROSS JOIN events USING (seq) WHERE " + where + ordered
		args = append(args, sql.Named("key", f.Key))
	}
	args = append(args, sql.Named("after", after), sql.Named("upto", upto), sql.Named("limit", limit))
	err = row.Each(ctx, tx, row.SQL(query, args...), func(rows *sql.Rows) error {
		var seq int64
		err := rows.Scan(&seq)
		seqs = append(seqs, seq)
		return err
	})
	return seqs, err
}

// indexed reports whether an index finds the events that f wants.
func (f EventFilter) indexed() bool { return f.Key != "" || f.Flow != "" }

// next returns the seqs of the next events after p.after, and the last seq that it searched. It searches a part of the
// log, and skips blocks without wanted events.
func (p *pages) next(ctx context.Context, tx *sql.Tx, limit int) (seqs []int64, looked int64, err error) {
	after, upto := p.after, p.head
	if !p.f.indexed() {
		after = p.blocks.skip(after, p.head)
		upto = min(after+pageLog, p.head)
	}
	seqs, err = p.f.seqs(ctx, tx, after, upto, "", limit)
	if len(seqs) == limit {
		upto = seqs[limit-1]
	}
	return seqs, upto, err
}

// newest returns the newest events, newest first.
func (p *pages) newest(ctx context.Context, tx *sql.Tx) (seqs []int64, err error) {
	if p.f.indexed() {
		return p.f.seqs(ctx, tx, p.f.AfterSeq, p.head, "DESC", p.f.Limit)
	}
	for _, part := range p.blocks.backwards(p.f.AfterSeq, p.head) {
		more, err := p.f.seqs(ctx, tx, max(part.after, p.f.AfterSeq), part.upto, "DESC", p.f.Limit-len(seqs))
		if seqs = append(seqs, more...); err != nil || len(seqs) == p.f.Limit {
			return seqs, err
		}
	}
	return seqs, nil
}

// latest returns the events by time, with equal times by number of hops: with a limit, the latest.
func (p *pages) latest(ctx context.Context, tx *sql.Tx) ([]int64, error) {
	type found struct{ seq, time, hops int64 }
	var all []found
	before := func(a, b found) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.hops, b.hops), cmp.Compare(a.seq, b.seq))
	}
	f := p.f
	where, args := f.matches()
	parts := p.blocks.backwards(f.AfterSeq, p.head)
	if f.indexed() {
		parts = []block{{after: f.AfterSeq, upto: p.head, latest: latestOfAll}}
		if f.Key != "" {
			where, args = where+" AND seq IN ("+ofKey+")", append(args, sql.Named("key", f.Key))
		}
	}
	slices.SortStableFunc(parts, func(a, b block) int { return cmp.Compare(b.latest, a.latest) })
	for _, part := range parts {
		if f.Limit > 0 && len(all) >= f.Limit && part.latest < all[0].time {
			break // all other parts are older
		}
		query := row.SQL("SELECT seq, time, hops FROM events WHERE seq > :after AND seq <= :upto AND "+where,
			append(slices.Clone(args), sql.Named("after", max(part.after, f.AfterSeq)), sql.Named("upto", part.upto))...)
		err := row.Each(ctx, tx, query, func(rows *sql.Rows) error {
			var x found
			err := rows.Scan(&x.seq, &x.time, &x.hops)
			all = append(all, x)
			return err
		})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(all, before)
		if f.Limit > 0 && len(all) > f.Limit {
			all = slices.Clone(all[len(all)-f.Limit:])
		}
	}
	seqs := make([]int64, len(all))
	for i, x := range all {
		seqs[i] = x.seq
	}
	return seqs, nil
}
