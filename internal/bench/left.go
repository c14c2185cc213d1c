package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
)

// position is how far a journal is: behind it is what is yet to be written.
type position struct{ seq, row int64 }

// view reads a journal's file beside whoever writes it.
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

// behind counts what module has left behind a position.
func behind(module string) string {
	return `
SELECT (SELECT count(*) FROM events WHERE seq > ?1),
       (SELECT count(*) FROM deliveries WHERE seq > ?1 AND outcome = 'done'),
       (SELECT count(*) FROM ` + module + `_rows WHERE id > ?2)`
}

// left is what flows leave behind in a journal.
type left struct{ events, deliveries, rows int64 }

// leaves is what so many flows leave behind in the journal of the deployable that runs module.
func (s split) leaves(module string, flows int64) left {
	var l left
	if module == mainModule {
		l.events++ // the first
	}
	emitter := mainModule
	for _, reacting := range s {
		if reacting == module {
			l.deliveries++
			l.events++
			if emitter != module {
				l.events++ // it was taken in
			}
		}
		emitter = reacting
	}
	return left{flows * l.events, flows * l.deliveries, flows * l.deliveries}
}

// expect is an error unless exactly what so many flows leave lies behind p.
func (p *position) expect(ctx context.Context, path string, flows int64) error {
	return p.expectLeft(ctx, path, together, mainModule, flows)
}

// expectLeft is an error unless exactly what module leaves of so many flows, split as s says, lies behind p.
func (p *position) expectLeft(ctx context.Context, path string, s split, module string, flows int64) error {
	want := s.leaves(module, flows)
	var got left
	err := view(path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, behind(module), p.seq, p.row).Scan(&got.events, &got.deliveries, &got.rows)
	})
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%d events, %d deliveries that are done and %d rows are left, want %d, %d and %d",
			got.events, got.deliveries, got.rows, want.events, want.deliveries, want.rows)
	}
	return nil
}
