package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

var errOnPurpose = errors.New("on purpose")

// fail is like queue for work that fails.
func fail(t *testing.T, j *Journal, code func(*commit.Unit)) chan error {
	t.Helper()
	it := &commit.Item{Work: journal.Work{Name: "fails"}, Answer: make(chan error, 1)}
	it.Run = func(u *commit.Unit) error {
		if err := u.Call(func() { code(u) }); err != nil {
			return err
		}
		return errOnPurpose
	}
	if err := j.writer.Enqueue(it); err != nil {
		t.Fatal(err)
	}
	return it.Answer
}

// together has work queued that becomes one group.
func together(t *testing.T, j *Journal, add func()) {
	t.Helper()
	begun, gate := make(chan struct{}), make(chan struct{})
	first := queue(t, j, 0, func(*commit.Unit) { close(begun); <-gate })
	<-begun
	add()
	close(gate)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func insert(t *testing.T, tx *sql.Tx, text string) {
	t.Helper()
	if _, err := tx.Exec("INSERT INTO m_rows VALUES (?)", text); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}

func mustHaveRows(t *testing.T, j *Journal, want ...string) {
	t.Helper()
	var got []string
	err := j.View(t.Context(), func(tx *sql.Tx) error {
		return row.Each(t.Context(), tx, row.SQL("SELECT text FROM m_rows ORDER BY rowid"), func(rows *sql.Rows) error {
			var text string
			err := rows.Scan(&text)
			got = append(got, text)
			return err
		})
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("rows are %q, %v, want %q", got, err, want)
	}
}

func mustOpenWithRows(t *testing.T) *Journal {
	t.Helper()
	j := mustOpenQuiet(t)
	mustMigrate(t, j, "m", files("0001.sql", "CREATE TABLE m_rows (text TEXT)"))
	return j
}

// attempts are ways to use a transaction.
var attempts = map[string]func(tx *sql.Tx, s *sql.Stmt) error{
	"Exec": func(tx *sql.Tx, _ *sql.Stmt) error {
		_, err := tx.Exec("INSERT INTO m_rows VALUES ('left')")
		return err
	},
	"Query": func(tx *sql.Tx, _ *sql.Stmt) error {
		return tx.QueryRow("INSERT INTO m_rows VALUES ('left') RETURNING 1").Scan(new(int))
	},
	"Prepare": func(tx *sql.Tx, _ *sql.Stmt) error {
		s, err := tx.Prepare("INSERT INTO m_rows VALUES ('left')")
		if err == nil {
			_, err = s.Exec()
		}
		return err
	},
	"Stmt":     func(_ *sql.Tx, s *sql.Stmt) error { _, err := s.Exec(); return err },
	"Commit":   func(tx *sql.Tx, _ *sql.Stmt) error { return tx.Commit() },
	"Rollback": func(tx *sql.Tx, _ *sql.Stmt) error { return tx.Rollback() },
}

// A goroutine that failed work has left behind writes into nobody's commit, and harms nobody: not while other work of
// the group runs, and not in between.
func TestGoroutineLeftBehind(t *testing.T) {
	t.Parallel()
	for name, try := range attempts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := mustOpenWithRows(t)
			wake, tried := make(chan struct{}), make(chan error)
			poke := func(where string) {
				wake <- struct{}{}
				if err := <-tried; err == nil {
					t.Errorf("%s: the transaction of work that has ended is open", where)
				}
			}
			var fails, works, reads, last chan error
			runs := 0
			together(t, j, func() {
				fails = fail(t, j, func(u *commit.Unit) {
					tx := u.Tx()
					insert(t, tx, "fails")
					s, err := tx.Prepare("INSERT INTO m_rows VALUES ('left')")
					if err != nil {
						t.Error(err)
					}
					go func() {
						for range wake {
							tried <- try(tx, s)
						}
					}()
				})
				works = queue(t, j, 0, func(u *commit.Unit) {
					runs++
					tx := u.Tx()
					insert(t, tx, fmt.Sprint("works ", min(runs, 2)))
					poke("during other work")
					if runs == 1 {
						return // the transaction may be a new one now
					}
					insert(t, tx, "works on")
				})
				reads = queue(t, j, 0, func(*commit.Unit) { poke("during work that does not ask for it") })
				last = queue(t, j, 0, func(u *commit.Unit) { insert(t, u.Tx(), "last") })
			})
			if err := <-fails; !errors.Is(err, errOnPurpose) {
				t.Errorf("the failed work: %v", err)
			}
			if err := errors.Join(<-works, <-reads, <-last); err != nil {
				t.Errorf("the others: %v", err)
			}
			poke("after the group")
			close(wake)
			if runs == 1 { // a slow machine: the failing work had a group of its own
				mustHaveRows(t, j, "works 1", "last")
			} else {
				mustHaveRows(t, j, "works 2", "works on", "last")
			}
			mustClose(t, j)
		})
	}
}

// A goroutine that ends the transaction between two pieces of work costs the later one nothing.
func TestGoroutineLeftBehindBetweenWork(t *testing.T) {
	t.Parallel()
	j := mustOpenWithRows(t)
	works := &commit.Item{Work: journal.Work{Name: "works"}, Answer: make(chan error, 1)}
	works.Run = func(u *commit.Unit) error {
		var tx *sql.Tx
		if err := u.Call(func() { tx = u.Tx() }); err != nil {
			return err
		}
		ended := make(chan error)
		go func() { ended <- tx.Rollback() }()
		return <-ended
	}
	var next chan error
	together(t, j, func() {
		if err := j.writer.Enqueue(works); err != nil {
			t.Fatal(err)
		}
		next = queue(t, j, 0, func(u *commit.Unit) { insert(t, u.Tx(), "next") })
	})
	if err := errors.Join(<-works.Answer, <-next); err != nil {
		t.Error(err)
	}
	mustHaveRows(t, j, "next")
	mustClose(t, j)
}

// What work asks for its transaction after its end is over, also in the next run of the same work, and for the next
// work in the same goroutine: without a savepoint of its own, nothing that it does could be undone.
func TestTransactionOfWorkThatHasEnded(t *testing.T) {
	t.Parallel()
	j := mustOpenWithRows(t)
	var old *sql.Tx
	var ask func() *sql.Tx
	var works, fails chan error
	together(t, j, func() {
		works = queue(t, j, 0, func(u *commit.Unit) { old, ask = u.Tx(), u.Tx; insert(t, old, "works") })
		fails = fail(t, j, func(*commit.Unit) {
			for what, tx := range map[string]*sql.Tx{"the old one": old, "asked for": ask()} {
				if _, err := tx.Exec("INSERT INTO m_rows VALUES ('old')"); err == nil {
					t.Errorf("%s is open", what)
				}
			}
		})
	})
	if err := <-works; err != nil {
		t.Error(err)
	}
	if err := <-fails; !errors.Is(err, errOnPurpose) {
		t.Error(err)
	}
	mustHaveRows(t, j, "works")
	mustClose(t, j)
}

// Work may use its transaction in goroutines of its own, one at a time. The first time, it runs twice.
func TestWorkWithGoroutines(t *testing.T) {
	t.Parallel()
	j := mustOpenWithRows(t)
	var want []string
	for n, runs := range []int{2, 1, 1, 2} {
		if n == 3 { // the work runs in one goroutine once, and is like any other again
			if err := <-queue(t, j, 0, func(u *commit.Unit) { insert(t, u.Tx(), "alone") }); err != nil {
				t.Error(err)
			}
			want = append(want, "alone")
		}
		ran := 0
		if err := <-queue(t, j, 0, func(u *commit.Unit) {
			ran++
			tx := u.Tx()
			insert(t, tx, fmt.Sprint(n))
			var own sync.WaitGroup
			own.Go(func() {
				s, err := tx.Prepare("INSERT INTO m_rows VALUES (?) RETURNING text")
				if err == nil {
					err = s.QueryRow("own").Scan(new(string))
				}
				if ran == runs && err != nil {
					t.Error(err)
				}
			})
			own.Wait()
		}); err != nil {
			t.Error(err)
		}
		if ran != runs {
			t.Errorf("work %d ran %d times, want %d", n, ran, runs)
		}
		want = append(want, fmt.Sprint(n), "own")
	}
	mustHaveRows(t, j, want...)
	mustClose(t, j)
}

// Work that was cut off writes nothing any more, and neither do the goroutines of its goroutines.
func TestGoroutinesOfWorkThatWasCutOff(t *testing.T) {
	t.Parallel()
	j := mustOpenWithRows(t)
	wake, tried, never := make(chan struct{}), make(chan error), make(chan struct{})
	defer close(never)
	hangs := queue(t, j, 20*time.Millisecond, func(u *commit.Unit) {
		tx := u.Tx()
		insert(t, tx, "hangs")
		go func() {
			go func() {
				for range wake {
					_, err := tx.Exec("INSERT INTO m_rows VALUES ('left')")
					_, err2 := u.Tx().Exec("INSERT INTO m_rows VALUES ('left')")
					if err == nil || err2 == nil {
						t.Errorf("errors are %v and %v", err, err2)
					}
					tried <- err
				}
			}()
		}()
		<-never
	})
	if err := <-hangs; !errors.Is(err, journal.ErrAbandoned) {
		t.Error(err)
	}
	runs := 0
	if err := <-queue(t, j, 0, func(u *commit.Unit) {
		runs++
		insert(t, u.Tx(), "next")
		wake <- struct{}{}
		if err := <-tried; !strings.Contains(err.Error(), "over") {
			t.Error(err)
		}
	}); err != nil || runs != 1 {
		t.Errorf("the next work ran %d times: %v", runs, err)
	}
	close(wake)
	mustHaveRows(t, j, "next")
	mustClose(t, j)
}

// Work that returns while a goroutine of its own runs a statement holds nobody up for longer than its limit.
func TestStatementLeftRunning(t *testing.T) {
	t.Parallel()
	j := mustOpenWithRows(t)
	const endless = "INSERT INTO m_rows WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
	ran := 0
	leaves := queue(t, j, 200*time.Millisecond, func(u *commit.Unit) {
		tx := u.Tx()
		runs := make(chan struct{})
		go func() {
			_, _ = tx.Exec("DELETE FROM m_rows")
			close(runs)
			_, _ = tx.Exec(endless)
		}()
		<-runs
		if ran++; ran == 2 { // the first run may not use a goroutine of its own
			awaitStatement()
		}
	})
	select {
	case err := <-leaves:
		if !errors.Is(err, journal.ErrAbandoned) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the work is never answered")
	}
	if err := <-queue(t, j, 0, func(u *commit.Unit) { insert(t, u.Tx(), "next") }); err != nil {
		t.Error(err)
	}
	mustHaveRows(t, j, "next")
	mustClose(t, j)
}

// awaitStatement returns when a goroutine of TestStatementLeftRunning is within SQLite, or after a second.
func awaitStatement() {
	for began := time.Now(); time.Since(began) < time.Second; {
		for stack := range strings.SplitSeq(string(goroutine.Stacks()), "\n\n") {
			if strings.Contains(stack, "sqlite3._Cfunc_") && strings.Contains(stack, "TestStatementLeftRunning") {
				return
			}
		}
	}
}

// argument is one that does not come.
type argument struct{ never chan struct{} }

func (a argument) Value() (driver.Value, error) { <-a.never; return nil, nil }

// A goroutine that was left behind in the middle of a call, with the locks of database/sql, holds nobody up for long.
func TestGoroutineLeftBehindWithLocks(t *testing.T) {
	t.Parallel()
	j := mustOpenWithRows(t)
	never := make(chan struct{})
	defer close(never)
	for _, name := range []string{"one", "two"} {
		answer := queue(t, j, time.Minute, func(u *commit.Unit) {
			tx, within := u.Tx(), make(chan struct{})
			insert(t, tx, name)
			go func() {
				_, _ = tx.Exec("INSERT INTO m_rows VALUES (?, ?)", tells{within}, argument{never})
			}()
			<-within
		})
		select {
		case err := <-answer:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the work is never answered")
		}
	}
	mustHaveRows(t, j, "one", "two")
	mustClose(t, j)
}

// tells is an argument that tells when it is asked for.
type tells struct{ asked chan struct{} }

func (a tells) Value() (driver.Value, error) { close(a.asked); return nil, nil }
