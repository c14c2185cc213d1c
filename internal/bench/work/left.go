package work

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
)

// position is the end of a journal: later rows are written after a position was taken.
type position struct{ seq, row int64 }

// view reads a journal's file beside its writer.
func view(path string, read func(*sql.DB) error) error {
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?_query_only=1&_busy_timeout=5000")
	if err != nil {
		return err
	}
	return errors.Join(read(db), db.Close())
}

func end(ctx context.Context, path string) (p position, err error) {
	err = view(path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT (SELECT coalesce(max(seq), 0) FROM events), (SELECT coalesce(max(id), 0) FROM bench_rows)").Scan(&p.seq, &p.row)
	})
	return p, err
}

// afterPosition returns the query that counts the rows of module after a position.
func afterPosition(module string) string {
	return `
SELECT (SELECT count(*) FROM events WHERE seq > ?1),
       (SELECT count(*) FROM deliveries WHERE seq > ?1 AND outcome = 'done'),
       (SELECT count(*) FROM ` + module + `_rows WHERE id > ?2)`
}

// left has the numbers of rows that flows leave in a journal.
type left struct{ events, deliveries, rows int64 }

// leaves returns the number of rows that flows leave in the journal of the deployable that runs module.
func (s split) leaves(module string, flows int64) left {
	var l left
	if module == mainModule {
		l.events++ // the first event
	}
	emitter := mainModule
	for _, reacting := range s {
		if reacting == module {
			l.deliveries++
			l.events++
			if emitter != module {
				l.events++ // the event came from the other deployable
			}
		}
		emitter = reacting
	}
	return left{flows * l.events, flows * l.deliveries, flows * l.deliveries}
}

// expect returns an error unless the rows after p are exactly the rows of so many flows.
func (p *position) expect(ctx context.Context, path string, flows int64) error {
	return p.expectLeft(ctx, path, together, mainModule, flows)
}

// expectLeft returns an error unless the rows after p are exactly the rows that module leaves for so many flows with
// split s.
func (p *position) expectLeft(ctx context.Context, path string, s split, module string, flows int64) error {
	want := s.leaves(module, flows)
	var got left
	err := view(path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, afterPosition(module), p.seq, p.row).Scan(&got.events, &got.deliveries, &got.rows)
	})
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the journal has %d more events, %d done deliveries and %d rows, want %d, %d and %d",
			got.events, got.deliveries, got.rows, want.events, want.deliveries, want.rows)
	}
	return nil
}
