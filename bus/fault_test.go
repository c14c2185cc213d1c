package bus_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

var faultTables = fstest.MapFS{"0001.sql": {Data: []byte(`
CREATE TABLE test_seen (name TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL) STRICT;
CREATE TABLE test_parents (id INTEGER PRIMARY KEY);
CREATE TABLE test_children (parent INTEGER REFERENCES test_parents (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE test_once (id INTEGER PRIMARY KEY);
INSERT INTO test_once VALUES (1);
CREATE TABLE test_numbers (id INTEGER PRIMARY KEY AUTOINCREMENT);
INSERT INTO test_numbers VALUES (9223372036854775807);
CREATE TABLE test_forbidden (id INTEGER PRIMARY KEY);
CREATE TRIGGER test_forbid BEFORE INSERT ON test_forbidden BEGIN SELECT RAISE(ROLLBACK, 'forbidden'); END;`)}}

// broken panics wherever it is encoded.
type broken struct{ Key string }

func (broken) EventType() string            { return "test.broken" }
func (e broken) EventKey() string           { return e.Key }
func (broken) MarshalJSON() ([]byte, error) { panic("cannot be encoded") }
func (broken) Value() (driver.Value, error) { panic("cannot be bound") }
func (*broken) Scan(any) error              { panic("cannot be read") }

// endless is a statement that runs until it is interrupted.
const endless = "INSERT INTO test_once WITH RECURSIVE n (x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"

// ownFaults are what work can do wrong so that it shows at the commit, or ends the transaction.
var ownFaults = []struct {
	name string
	work func(ctx context.Context) (bus.Events, error)
	want string // in the error
}{
	{"a deferred foreign key", func(ctx context.Context) (bus.Events, error) {
		_, err := bus.Tx(ctx).Exec("INSERT INTO test_children VALUES (77)")
		return nil, err
	}, "FOREIGN KEY constraint failed"},
	{"ON CONFLICT ROLLBACK", func(ctx context.Context) (bus.Events, error) {
		_, err := bus.Tx(ctx).Exec("INSERT OR ROLLBACK INTO test_once VALUES (1)")
		return nil, err
	}, "UNIQUE constraint failed"},
	{"ON CONFLICT ROLLBACK that is swallowed", func(ctx context.Context) (bus.Events, error) {
		_, _ = bus.Tx(ctx).Exec("INSERT OR ROLLBACK INTO test_once VALUES (1)")
		_ = note(ctx, "outside of a transaction", "", 0)
		return nil, nil
	}, "UNIQUE constraint failed"},
	{"RAISE(ROLLBACK)", func(ctx context.Context) (bus.Events, error) {
		_, _ = bus.Tx(ctx).Exec("INSERT INTO test_forbidden VALUES (1)")
		return nil, nil
	}, "forbidden"},
	{"a context that ends in a statement", func(ctx context.Context) (bus.Events, error) {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		_, err := bus.Tx(ctx).ExecContext(short, endless)
		return nil, err
	}, "deadline exceeded"},
	{"rows of a RETURNING left open", func(ctx context.Context) (bus.Events, error) {
		rows, err := bus.Tx(ctx).Query("INSERT INTO test_once VALUES (2) RETURNING id")
		if err == nil && !rows.Next() {
			err = rows.Err()
		}
		return nil, err
	}, "left open"},
	{"COMMIT", func(ctx context.Context) (bus.Events, error) {
		_, err := bus.Tx(ctx).Exec("INSERT INTO test_once VALUES (2); COMMIT")
		return nil, err
	}, "the work said COMMIT"},
	{"COMMIT that is swallowed", func(ctx context.Context) (bus.Events, error) {
		_, _ = bus.Tx(ctx).Exec("COMMIT")
		return nil, nil
	}, "the work said COMMIT"},
	{"SAVEPOINT", func(ctx context.Context) (bus.Events, error) {
		_, err := bus.Tx(ctx).Exec("SAVEPOINT mine")
		return nil, err
	}, "savepoint"},
	{"Tx.Commit", func(ctx context.Context) (bus.Events, error) {
		return nil, bus.Tx(ctx).(*sql.Tx).Commit() //troupe:allow rollback the mistake of the test
	}, "the work called Tx.Commit"},
	{"a deferred Tx.Rollback", func(ctx context.Context) (bus.Events, error) {
		defer func() { _ = bus.Tx(ctx).(*sql.Tx).Rollback() }() //troupe:allow rollback the mistake of the test
		return nil, note(ctx, "rolled back", "", 0)
	}, "the work called Tx.Rollback"},
	{"an event that panics when it is encoded", func(context.Context) (bus.Events, error) {
		return bus.Emit(broken{}), nil
	}, "cannot be encoded"},
	{"an argument that panics", func(ctx context.Context) (bus.Events, error) {
		_, err := bus.Tx(ctx).Exec("INSERT INTO test_once VALUES (?)", broken{})
		return nil, err
	}, "cannot be bound"},
	{"a nil pointer as an error", func(context.Context) (bus.Events, error) {
		var none *mute
		return nil, none
	}, "*bus_test.mute panics when its text is read"},
	{"an error that cannot be unwrapped", func(context.Context) (bus.Events, error) {
		var none *hollow
		return nil, none
	}, "*bus_test.hollow panics when its text is read"},
	{"a table that has used up its numbers", func(ctx context.Context) (bus.Events, error) {
		_, err := bus.Tx(ctx).Exec("INSERT INTO test_numbers DEFAULT VALUES")
		return nil, err
	}, "has had the last number"},
}

// mute and hollow are errors that panic when they are read, as nil pointers of most types of errors do.
type (
	mute   struct{ text string }
	hollow struct{ cause error }
)

func (e *mute) Error() string   { return e.text }
func (*hollow) Error() string   { return "hollow" }
func (e *hollow) Unwrap() error { return e.cause }

// faulty runs a bus whose handler "bad" does what ownFaults says, in a group with what "good" does.
func faulty(t *testing.T, work func(context.Context) (bus.Events, error)) *app {
	return MustRun(t, bus.Config{Retry: bus.Retry{First: time.Millisecond, Attempts: 2}}, func(m *bus.Module) {
		m.Migrations(faultTables).Emits(asked{}, broken{}).ForOutside(broken{})
		bus.On(m, "bad", func(ctx context.Context, _ asked) (bus.Events, error) { return work(ctx) }).Emits(broken{})
		bus.On(m, "good", func(ctx context.Context, e asked) (bus.Events, error) {
			return nil, note(ctx, "good", e.Key, e.N)
		})
	})
}

// What work does wrong itself is an attempt, and then a dead letter, however it shows. It is no trouble of the store,
// and costs nobody else anything.
func TestOwnFaultIsAnAttempt(t *testing.T) {
	t.Parallel()
	for _, c := range ownFaults {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := faulty(t, c.work)
			a.publish(t, asked{"a", 1}, asked{"b", 2})
			wantStrings(t, "bad", a.outcomes(t, "test/bad"), "dead/2", "dead/2")
			wantStrings(t, "good", a.outcomes(t, "test/good"), "done/1", "done/1")
			wantStrings(t, "rows", a.strings(t, "SELECT name || ':' || key FROM test_seen ORDER BY key"), "good:a", "good:b")
			for _, got := range a.strings(t, "SELECT error FROM dead_letters") {
				if !strings.Contains(got, c.want) {
					t.Errorf("dead letter: %s", got)
				}
			}
			wantStrings(t, "table", a.strings(t, "SELECT id FROM test_once"), "1")
		})
	}
}

// Do gets its own fault as it is.
func TestOwnFaultOfDo(t *testing.T) {
	t.Parallel()
	a := faulty(t, func(context.Context) (bus.Events, error) { return nil, nil })
	for _, c := range ownFaults {
		if c.name == "an event that panics when it is encoded" {
			continue // as every panic
		}
		_, err := a.m.Do(t.Context(), c.work)
		if err == nil || errors.Is(err, journal.ErrUnavailable) || errors.Is(err, bus.ErrUnknown) ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := a.m.Do(t.Context(), func(ctx context.Context) (bus.Events, error) {
		return nil, note(ctx, "after", "a", 1)
	}); err != nil {
		t.Error(err)
	}
	wantStrings(t, "rows", a.strings(t, "SELECT name FROM test_seen"), "after")
}

// Work that ends its transaction by hand does not have others' work done twice, or not at all.
func TestOthersWorkIsDoneOnce(t *testing.T) {
	t.Parallel()
	a := faulty(t, func(context.Context) (bus.Events, error) { return nil, nil })
	var clients sync.WaitGroup
	var acknowledged atomic.Int32
	for i := range 16 {
		clients.Go(func() {
			for n := range 20 {
				bad := ownFaults[(i+n)%len(ownFaults)].work
				_, err := a.m.Do(t.Context(), func(ctx context.Context) (bus.Events, error) {
					if err := note(ctx, "client", fmt.Sprint(i), n); err != nil || i%4 != 0 {
						return nil, err
					}
					return bad(ctx)
				})
				if err == nil {
					acknowledged.Add(1)
				}
			}
		})
	}
	clients.Wait()
	wantStrings(t, "rows", a.strings(t, "SELECT count(*) FROM test_seen"), fmt.Sprint(acknowledged.Load()))
	if acknowledged.Load() != 12*20 {
		t.Errorf("%d were acknowledged, want those of 12 clients", acknowledged.Load())
	}
}

// lines is an event that a handler may change in place.
type lines struct {
	Key   string `json:"key"`
	Lines []int  `json:"lines"`
}

func (lines) EventType() string  { return "test.lines" }
func (e lines) EventKey() string { return e.Key }

// A handler that runs again, because of another's fault in its group, gets the event as it was published.
func TestEveryRunGetsAFreshEvent(t *testing.T) {
	t.Parallel()
	var again atomic.Bool
	runs := map[string]int{}
	a := MustRun(t, bus.Config{Retry: bus.Retry{Attempts: -1}}, func(m *bus.Module) {
		m.Migrations(faultTables).Emits(lines{})
		bus.On(m, "count", func(ctx context.Context, e lines) (bus.Events, error) {
			if runs[e.Key]++; runs[e.Key] > 1 {
				again.Store(true)
			}
			sum := 0
			for i := range e.Lines {
				sum += e.Lines[i]
				e.Lines[i] = 0
			}
			return nil, note(ctx, "sum", e.Key, sum)
		})
		bus.On(m, "spoil", func(ctx context.Context, e lines) (bus.Events, error) {
			_, err := bus.Tx(ctx).Exec("INSERT OR ROLLBACK INTO test_once VALUES (1)")
			return nil, err
		})
	})
	var events []bus.Event
	for i := range 100 {
		events = append(events, lines{fmt.Sprint(i), []int{1, 2, 3}})
	}
	a.publish(t, events...)
	wantStrings(t, "sums", a.strings(t, "SELECT n || ' x ' || count(*) FROM test_seen GROUP BY n"), "6 x 100")
	if !again.Load() {
		t.Skip("no group had both handlers in it")
	}
}

// Work that hangs with locks of database/sql in its hands, or in the driver, is cut off all the same.
func TestHangUnderLocks(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	hangs := map[string]func(tx bus.SQL){
		"with bytes in hand": func(tx bus.SQL) {
			rows, err := tx.Query("SELECT 'x' FROM test_once")
			var raw sql.RawBytes
			if err == nil && rows.Next() && rows.Scan(&raw) == nil {
				<-never
			}
		},
		"in an argument": func(tx bus.SQL) { _, _ = tx.Exec("SELECT ?", slow{never}) },
		"in the driver":  func(tx bus.SQL) { _, _ = tx.Exec(endless) },
	}
	for name, hang := range hangs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := MustRun(t, bus.Config{Retry: bus.Retry{Attempts: -1}}, func(m *bus.Module) {
				m.Migrations(faultTables).Emits(asked{})
				bus.On(m, "hangs", func(ctx context.Context, e asked) (bus.Events, error) {
					if err := note(ctx, "hung", e.Key, e.N); err != nil || e.N != 1 {
						return nil, err
					}
					hang(bus.Tx(ctx))
					return nil, nil
				}).Timeout(100 * time.Millisecond)
			})
			a.publish(t, asked{"a", 1}, asked{"b", 2}, asked{"c", 3})
			wantStrings(t, "outcomes", a.outcomes(t, "test/hangs"), "dead/1", "done/1", "done/1")
			wantStrings(t, "rows", a.strings(t, "SELECT key FROM test_seen ORDER BY key"), "b", "c")
		})
	}
}

// A panic while a row is scanned leaves the rows locked for ever, in database/sql. The writer does not wait for them.
func TestPanicWhileScanning(t *testing.T) {
	t.Parallel()
	const returning = "INSERT INTO test_once VALUES (2) RETURNING id"
	for name, scan := range map[string]func(tx bus.SQL) error{
		"a row of a RETURNING": func(tx bus.SQL) error { return tx.QueryRow(returning).Scan(&broken{}) },
		"a nil pointer":        func(tx bus.SQL) error { return tx.QueryRow("SELECT id FROM test_once").Scan(&hasty{}) },
		"the end of a goroutine": func(tx bus.SQL) error {
			return tx.QueryRow(returning).Scan(&hasty{func() { runtime.Goexit() }})
		},
		"rows that are closed later": func(tx bus.SQL) error {
			rows, err := tx.Query("SELECT id FROM test_once")
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				err = errors.Join(err, rows.Scan(&broken{}))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := faulty(t, func(ctx context.Context) (bus.Events, error) { return nil, scan(bus.Tx(ctx)) })
			began := time.Now()
			a.publish(t, asked{"a", 1})
			if took := time.Since(began); took > 4*time.Second { // each attempt has 5
				t.Errorf("two attempts took %v", took)
			}
			wantStrings(t, "bad", a.outcomes(t, "test/bad"), "dead/2")
			wantStrings(t, "good", a.outcomes(t, "test/good"), "done/1")
			for _, got := range a.strings(t, "SELECT error FROM dead_letters") {
				if !strings.Contains(got, "panicked while it scanned a row, at ") || !strings.Contains(got, "fault_test.go:") {
					t.Errorf("dead letter: %s", got)
				}
			}
			wantStrings(t, "table", a.strings(t, "SELECT id FROM test_once"), "1")
		})
	}
}

// hasty is a value whose Scan does what it is told, or panics.
type hasty struct{ do func() }

func (h *hasty) Scan(any) error { h.do(); return nil }

// slow is an argument that does not come.
type slow struct{ never chan struct{} }

func (s slow) Value() (driver.Value, error) { <-s.never; return nil, nil }

// Rows that a handler leaves open, even with bytes in hand, are nobody else's trouble.
func TestRowsLeftOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	a := MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "sloppy", func(ctx context.Context, e asked) (bus.Events, error) {
			if err := note(ctx, "sloppy", e.Key, e.N); err != nil {
				return nil, err
			}
			rows, err := bus.Tx(ctx).Query("SELECT name FROM test_seen")
			var raw sql.RawBytes
			if err == nil && rows.Next() {
				err = rows.Scan(&raw)
			}
			return nil, err
		})
	})
	a.publish(t, asked{"a", 1}, asked{"b", 2}, asked{"c", 3})
	wantStrings(t, "outcomes", a.outcomes(t, "test/sloppy"), "done/1", "done/1", "done/1")
	wantStrings(t, "rows", a.strings(t, "SELECT key FROM test_seen ORDER BY key"), "a", "b", "c")
}
