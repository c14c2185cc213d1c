package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
)

// tables returns the tables of a module: the ids of the rows show the order in which deliveries were handled.
func tables(module, more string) fstest.MapFS {
	return fstest.MapFS{"0001.sql": {Data: fmt.Appendf(nil, `CREATE TABLE %[1]s_rows (
	id    INTEGER PRIMARY KEY AUTOINCREMENT,
	sub   TEXT    NOT NULL,
	event TEXT    NOT NULL,
	key   TEXT    NOT NULL,
	n     INTEGER NOT NULL
) STRICT;
CREATE INDEX %[1]s_by_event ON %[1]s_rows (event, sub);
%[2]s`, module, more)}}
}

const moodyTables = `
CREATE TABLE moody_parent (id INTEGER PRIMARY KEY);
CREATE TABLE moody_child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES moody_parent (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE moody_once (id INTEGER PRIMARY KEY, n INTEGER);
INSERT INTO moody_once VALUES (1, 1);
CREATE TABLE moody_picky (n INTEGER);
CREATE TRIGGER moody_refuses BEFORE INSERT ON moody_picky BEGIN SELECT RAISE(ROLLBACK, 'picky'); END;
CREATE TABLE moody_big (n INTEGER);`

// program has the state that the handlers share.
type program struct {
	*bus.Bus
	front   *bus.Module
	outside *os.File     // file that records external calls, each with a single write
	mu      sync.Mutex   // guards outside
	good    bool         // all handlers behave
	older   bool         // the program has no subscription tail/close
	healed  atomic.Bool  // the sick and flaky handlers are healed
	calls   atomic.Int64 // number of calls of moody handlers
}

var shortRetry = bus.Retry{Attempts: 3, First: 20 * time.Millisecond, Max: 100 * time.Millisecond}

// deafRetry has enough attempts to show how many abandoned calls may run at a time.
var deafRetry = bus.Retry{Attempts: 20, First: 10 * time.Millisecond, Max: 10 * time.Millisecond}

// endless is the policy of a subscription that never gives up.
var endless = bus.Retry{Attempts: 1 << 30, First: 30 * time.Millisecond, Max: 30 * time.Millisecond}

func (p *program) wire() {
	p.front = p.Module("front").Emits(Asked{}).Migrations(tables("front", "")).Emits(Inside{}).ForOutside(Inside{})
	p.ledger()
	p.tail()
	m := p.Module("moody").Migrations(tables("moody", moodyTables)).ForOutside(Shocking{}, Loud{})
	misbehaves := func(e Asked) bool { return e.Mood != "" }
	soon := 300 * time.Millisecond
	if p.good {
		soon = time.Minute
	}
	bus.On(m, "act", p.act).Emits(Shocking{}, Loud{}).When(misbehaves).Retry(shortRetry).Timeout(soon)
	bus.On(m, "call", p.callMoodily).When(misbehaves).External(2).FromStart().Retry(deafRetry).Timeout(soon / 4)
	bus.On(m, "patient", p.patient).When(misbehaves).Retry(endless)
}

// ledger wires the module that reacts to every Asked and always succeeds. Its handlers have much time and few
// attempts: only the store can fail them, and a failure of the store is no attempt.
func (p *program) ledger() {
	m := p.Module("ledger").ForOutside(Called{}).Migrations(tables("ledger", "CREATE TABLE ledger_sums (key TEXT PRIMARY KEY, total INTEGER NOT NULL) STRICT; CREATE TABLE ledger_pads (pad TEXT NOT NULL) STRICT; CREATE TABLE ledger_blobs (data BLOB NOT NULL) STRICT;"))
	bus.On(m, "note", func(ctx context.Context, e Asked) (bus.Events, error) {
		n := e.N
		if len(e.Tags) > 0 {
			e.Tags[0]++ // the event belongs to this run: another run must not see the change
			n = e.Tags[0] - 1
		}
		return bus.Emit(Noted{Key: e.Key, N: n}), row(ctx, "ledger", e.Key, n)
	}).Emits(Noted{}).Timeout(time.Minute).Retry(shortRetry)
	bus.On(m, "sum", func(ctx context.Context, e Asked) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO ledger_sums VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET total = total + excluded.total", e.Key, e.N)
		if err == nil && e.Pad != "" { // more than a transaction keeps in memory: the statement itself writes to the disk
			_, err = bus.Tx(ctx).ExecContext(ctx, "INSERT INTO ledger_pads SELECT ? FROM json_each('[1, 2, 3, 4]')", e.Pad)
		}
		if err == nil && e.Mood == "big" { // more than the page cache holds: the statement itself writes to the disk
			err = exec(bus.Tx(ctx), "INSERT INTO ledger_blobs SELECT zeroblob(1000000) FROM json_each('[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]')")
		}
		if err == nil && e.Mood == "big" {
			err = exec(bus.Tx(ctx), "DELETE FROM ledger_blobs")
		}
		if err != nil {
			return nil, err
		}
		return nil, row(ctx, "ledger", e.Key, e.N)
	}).Timeout(time.Minute).Retry(shortRetry)
	bus.On(m, "call", func(ctx context.Context, e Asked) (bus.Events, error) {
		if err := p.record(ctx, e.Key, nil); err != nil {
			return nil, err
		}
		return bus.Emit(Called{Key: e.Key, N: e.N}).Also(func(ctx context.Context) error { return row(ctx, "ledger", e.Key, e.N) }), nil
	}).Emits(Called{}).External(4).FromStart().Timeout(time.Minute)
	bus.On(m, "slow", func(ctx context.Context, e Asked) (bus.Events, error) {
		err := p.record(ctx, e.Key, func() { time.Sleep(time.Millisecond) })
		return bus.Emit().Also(func(ctx context.Context) error { return row(ctx, "ledger", e.Key, e.N) }), err
	}).External(1).FromStart().Timeout(time.Minute)
}

func (p *program) tail() {
	m := p.Module("tail").Migrations(tables("tail", ""))
	bus.On(m, "count", func(ctx context.Context, e Noted) (bus.Events, error) { return nil, row(ctx, "tail", e.Key, e.N) }).Timeout(time.Minute).AnyOrder()
	if !p.older {
		bus.On(m, "close", func(ctx context.Context, e Called) (bus.Events, error) { return nil, row(ctx, "tail", e.Key, e.N) }).Timeout(time.Minute).FromNow()
	}
}

// row records that a module handled the delivery of ctx.
func row(ctx context.Context, module, key string, n int) error {
	d := bus.Delivery(ctx)
	_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO "+module+"_rows (sub, event, key, n) VALUES (?, ?, ?, ?)", d.Subscription, d.EventID, key, n)
	return err
}

// record makes an external call: it records the begin, runs during, and records the end. A nil during records only
// the begin.
func (p *program) record(ctx context.Context, key string, during func()) (err error) {
	d := bus.Delivery(ctx)
	if err = p.line("begin", d, key); err != nil || during == nil {
		return err
	}
	defer func() { err = errors.Join(err, p.line("end", d, key)) }() // also after a panic
	during()
	return nil
}

func (p *program) line(what string, d bus.Info, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.outside, "%s %d %s %d %s\n", what, os.Getpid(), d.ID, d.Attempt, key)
	return err
}
