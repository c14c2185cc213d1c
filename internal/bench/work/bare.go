package work

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"net/url"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"
)

// bare writes the rows of flows with a single thread and no bus, through statements of the driver that are prepared
// once.
type bare struct {
	conn                               *sqlite3.SQLiteConn
	begin, commit, event, deliver, row *stmt
	group                              int
	data                               []byte // payload of every event
	events                             int64  // number of events so far
	uncommitted                        int    // number of reactions
	open                               bool   // a transaction is open
}

// stmt is a prepared statement with a reusable argument list.
type stmt struct {
	s    *sqlite3.SQLiteStmt
	args []driver.NamedValue
}

func (s *stmt) exec(args ...driver.Value) error {
	for i, a := range args {
		s.args[i].Value = a
	}
	_, err := s.s.ExecContext(context.Background(), s.args)
	return err
}

const (
	bareEvent = `
INSERT INTO events (id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, metadata, data)
VALUES (?, ?, 1, 'bench', ?, ?, ?, ?, ?, ?, NULL, ?)`

	bareDelivery = `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration, error) VALUES (?, ?, 'done', 1, ?, 12, NULL)`
)

// openBare opens a file with the tables of a journal and of the domain, and without events.
func openBare(path string, group int) (*bare, error) {
	params := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_foreign_keys": {"1"}, "_cache_size": {"-8192"}}
	conn, err := (&sqlite3.SQLiteDriver{}).Open("file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + params.Encode())
	if err != nil {
		return nil, err
	}
	b := &bare{conn: conn.(*sqlite3.SQLiteConn), group: group}
	if b.data, err = json.Marshal(newOrder(1)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	for _, s := range []struct {
		into  **stmt
		query string
	}{
		{&b.begin, "BEGIN IMMEDIATE"}, {&b.commit, "COMMIT"}, {&b.event, bareEvent}, {&b.deliver, bareDelivery}, {&b.row, insertRow(mainModule)},
	} {
		if *s.into, err = b.prepare(s.query); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

func (b *bare) prepare(query string) (*stmt, error) {
	s, err := b.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	args := make([]driver.NamedValue, s.NumInput())
	for i := range args {
		args[i].Ordinal = i + 1
	}
	return &stmt{s.(*sqlite3.SQLiteStmt), args}, nil
}

func (b *bare) close() error {
	var errs []error
	for _, s := range []*stmt{b.begin, b.commit, b.event, b.deliver, b.row} {
		if s != nil {
			errs = append(errs, s.s.Close())
		}
	}
	return errors.Join(append(errs, b.conn.Close())...)
}

// flows writes the flows of l, and returns the time until all flows are on disk.
func (b *bare) flows(ctx context.Context, l load) (time.Duration, error) {
	started := time.Now()
	for i := range l.n {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := b.flow(newOrder(l.first + i)); err != nil {
			return 0, err
		}
	}
	if err := b.finish(); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// bareSteps are the events of a flow, with the subscription that emits each event.
var bareSteps = [...]struct{ eventType, subscription string }{
	{placed{}.EventType(), ""},
	{reserved{}.EventType(), "bench/reserve"},
	{charged{}.EventType(), "bench/charge"},
	{dispatched{}.EventType(), "bench/dispatch"},
	{completed{}.EventType(), "bench/complete"},
	{notified{}.EventType(), "bench/tell"},
}

func (b *bare) flow(o order) error {
	now := time.Now().UnixMicro()
	flow, cause := "", ""
	for i, s := range bareSteps {
		if err := b.start(); err != nil {
			return err
		}
		if i > 0 {
			if err := b.row.exec(int64(i), o.OrderID, o.Total); err != nil {
				return err
			}
			if err := b.deliver.exec(b.events, int64(i+1), now); err != nil {
				return err
			}
			b.uncommitted++
		}
		b.events++
		id := bareID(b.events)
		if i == 0 {
			flow = id
		}
		if err := b.event.exec(id, s.eventType, o.OrderID, now, flow, cause, s.subscription, int64(i), b.data); err != nil {
			return err
		}
		cause = id
		if b.uncommitted == b.group {
			if err := b.finish(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bare) start() error {
	if b.open {
		return nil
	}
	b.open = true
	return b.begin.exec()
}

func (b *bare) finish() error {
	if !b.open {
		return nil
	}
	b.open, b.uncommitted = false, 0
	return b.commit.exec()
}

// bareID returns an id with the length of an event's id. Later ids are greater.
func bareID(n int64) string {
	id := []byte("0190a000-0000-7000-8000-000000000000")
	for i := len(id) - 1; n > 0; i, n = i-1, n/10 {
		id[i] = byte('0' + n%10)
	}
	return string(id)
}
