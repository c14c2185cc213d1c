package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
)

func files(pairs ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func mustOpenLogged(t *testing.T) (*Journal, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{Synchronous: "normal", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, &log
}

func mustMigrate(t *testing.T, j *Journal, module string, fsys fs.FS) {
	t.Helper()
	if err := j.Migrate(t.Context(), module, fsys); err != nil {
		t.Fatal(err)
	}
}

// everything that a refused program might leave behind.
func traces(t *testing.T, j *Journal) (text string) {
	t.Helper()
	err := j.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), `
SELECT (SELECT group_concat(name) FROM sqlite_schema) || (SELECT group_concat(module || name) FROM migrations) ||
       coalesce((SELECT group_concat(name || types || coalesce(retired_at, '')) FROM subscriptions), '')`).Scan(&text)
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A program that is refused leaves nothing behind, whatever it is refused for, and whichever of its modules comes
// first.
func TestARefusedProgramChangesNothing(t *testing.T) {
	t.Parallel()
	j, _ := mustOpenLogged(t)
	old := files("0001.sql", "CREATE TABLE m_t (x)", "0002.sql", "CREATE TABLE m_u (x)")
	mustMigrate(t, j, "m", old)
	mustSubscribe(t, j, journal.Subscription{Name: "m/s", Types: []string{"t"}, Parallel: 1}, journal.Subscription{Name: "m/gone", Types: []string{"t"}, Parallel: 1})
	err := j.writer.Submit(t.Context(), &commit.Item{Run: func(u *commit.Unit) error {
		_, err := u.Tx().ExecContext(t.Context(), `CREATE TRIGGER "elsewhere:away:migrations" BEFORE INSERT ON migrations WHEN new.module = 'away' BEGIN SELECT RAISE(ABORT, 'it went away'); END`)
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	before := traces(t, j)
	fresh := files("0001.sql", "CREATE TABLE a_t (x)")
	subs := []journal.Subscription{{Name: "m/s", Types: []string{"t"}}, {Name: "a/s", Types: []string{"t"}}}
	for name, c := range map[string]struct {
		modules map[string]fs.FS
		subs    []journal.Subscription
		is      error
		wants   string
	}{
		"older":         {map[string]fs.FS{"a": fresh, "m": files("0001.sql", "CREATE TABLE m_t (x)"), "z": fresh}, subs, ErrNewer, "0002.sql of m"},
		"changed":       {map[string]fs.FS{"a": fresh, "m": files("0001.sql", "CREATE TABLE m_t (y)", "0002.sql", "CREATE TABLE m_u (x)")}, subs, nil, "was changed after it was applied"},
		"transactions":  {map[string]fs.FS{"a": fresh, "z": files("0001.sql", "CREATE TABLE z_t (x);\ncommit;")}, subs, nil, "0001.sql of z has COMMIT"},
		"elsewhere":     {map[string]fs.FS{"a": fresh}, []journal.Subscription{{Name: "a/s", Types: []string{"t"}}, {Name: "m/s", Types: []string{"t"}, Elsewhere: true}}, nil, "is not to run here"},
		"split off":     {map[string]fs.FS{"a": fresh, "away": files("0001.sql", "CREATE TABLE away_t (x)")}, subs, nil, "it went away"},
		"none of these": {map[string]fs.FS{"a": fresh, "m": old}, subs, nil, ""},
	} {
		err := j.Fits(t.Context(), c.modules, c.subs)
		switch {
		case c.wants == "" && err != nil, c.wants != "" && (err == nil || !strings.Contains(err.Error(), c.wants)), c.is != nil && !errors.Is(err, c.is):
			t.Errorf("%s: %v, want %q", name, err, c.wants)
		}
		if after := traces(t, j); after != before {
			t.Errorf("%s left traces:\n%s\nbefore\n%s", name, after, before)
		}
	}
}

// A program without a subscription that has open work is refused before anything is applied.
func TestOpenWorkOfSubscriptionsThatAreGone(t *testing.T) {
	t.Parallel()
	j, log := mustOpenLogged(t)
	gone := journal.Subscription{Name: "m/gone", Types: []string{"t"}, Parallel: 1}
	stays := journal.Subscription{Name: "m/stays", Types: []string{"t"}, Parallel: 1}
	mustSubscribe(t, j, gone, stays)
	for i := range 3 {
		err := j.Do(t.Context(), journal.Work{}, func(journal.TxFunc) ([]*journal.Event, error) {
			return []*journal.Event{{ID: fmt.Sprint(i), Type: "t", Version: 1}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Fits(t.Context(), nil, []journal.Subscription{gone, stays}); err != nil || log.Len() > 0 {
		t.Errorf("nothing is gone: %v, log %s", err, log)
	}
	err := j.Fits(t.Context(), nil, []journal.Subscription{stays})
	if e, ok := errors.AsType[*OpenWorkError](err); !ok || e.Subscription != "m/gone" || e.OpenWork != (OpenWork{Events: 3}) || strings.Contains(err.Error(), "m/stays") {
		t.Errorf("m/gone is gone: %v", err)
	}
}

// The line ends with which a file was checked out count for nothing, now and in journals that noted those of CRLF.
func TestChecksumsDoNotDependOnLineEnds(t *testing.T) {
	t.Parallel()
	const text = "CREATE TABLE m_t (x);\nINSERT INTO m_t VALUES ('a\nb');\n"
	crlf := strings.ReplaceAll(text, "\n", "\r\n")
	for _, first := range []string{text, crlf} {
		j, _ := mustOpenLogged(t)
		mustMigrate(t, j, "m", files("0001.sql", first))
		mustMigrate(t, j, "m", files("0001.sql", text))
		mustMigrate(t, j, "m", files("0001.sql", crlf))
		sum := sha256.Sum256([]byte(crlf))
		j.applied["m"]["0001.sql"] = hex.EncodeToString(sum[:8]) // as a program noted it that was built with CRLF
		mustMigrate(t, j, "m", files("0001.sql", text))
		mustMigrate(t, j, "m", files("0001.sql", crlf))
		if err := j.Migrate(t.Context(), "m", files("0001.sql", text+" ")); err == nil {
			t.Error("another text is taken for the same")
		}
		var x string
		err := j.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRowContext(t.Context(), "SELECT x FROM m_t").Scan(&x) })
		if err != nil || x != "a\nb" {
			t.Errorf("%q, %v", x, err)
		}
	}
}

// A program that is told to stop while a migration runs, or while the journal is counted, leaves the journal able to
// write: what is decided later is written, and it closes without an error.
func TestStoppedInTheMiddle(t *testing.T) {
	t.Parallel()
	const long = "CREATE TABLE %s_t AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT i FROM n"
	j, log := mustOpenLogged(t)
	for _, module := range []string{"a", "b"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := j.Migrate(ctx, module, files("0001.sql", fmt.Sprintf(long, module))); err == nil {
			t.Errorf("a migration of %s ends that cannot", module)
		}
		cancel()
	}
	mustMigrate(t, j, "a", files("0001.sql", "CREATE TABLE a_t (x)"))
	if err := j.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if strings.Contains(log.String(), "cannot write") {
		t.Errorf("the log says %s", log)
	}
}

// mustMakeOlder leaves at path a journal as an older program made it, which ran with one migration of module m and
// one subscription, and returns the first migration that it lacks.
func mustMakeOlder(t *testing.T, path string) (newest string) {
	t.Helper()
	j := mustOpen(t, path)
	mustMigrate(t, j, "m", files("0001.sql", "CREATE TABLE m_t (x)"))
	mustSubscribe(t, j, journal.Subscription{Name: "m/s", Types: []string{"t"}})
	newest = "schema/0013_causes.sql"
	err := j.writer.Submit(t.Context(), &commit.Item{Run: func(u *commit.Unit) error {
		_, err := u.Tx().ExecContext(t.Context(), `
DROP TRIGGER dead_letters_came; DROP TRIGGER dead_letters_again; DROP INDEX dead_letters_new; DROP INDEX dead_letters_cause; DROP INDEX dead_letters_type;
ALTER TABLE dead_letters DROP COLUMN cause; ALTER TABLE dead_letters DROP COLUMN type; DROP TABLE causes;
ALTER TABLE delayed DROP COLUMN metadata; DROP TABLE requests;
DROP INDEX delayed_name; ALTER TABLE delayed DROP COLUMN name; DROP TABLE cancelled;
DROP TABLE schedules;
ALTER TABLE subscriptions DROP COLUMN was; ALTER TABLE subscriptions DROP COLUMN version; ALTER TABLE subscriptions DROP COLUMN rebuilds;
ALTER TABLE subscriptions DROP COLUMN run_of; ALTER TABLE subscriptions DROP COLUMN retired_by; ALTER TABLE subscriptions DROP COLUMN retired_why;
DROP TABLE type_starts;
DELETE FROM migrations WHERE module = 'journal' AND name >= ?`, newest)
		return err
	}})
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	return newest
}

// lacks is what the journal at path lacks, as a reader says.
func lacks(t *testing.T, path string) string {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err == nil {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		return ""
	}
	_, what, _ := strings.Cut(err.Error(), "it lacks ")
	return what
}

// A program that is refused, for whatever reason, has not brought the journal's own tables up to date: the one of
// before can still run.
func TestARefusedProgramLeavesTheJournalToTheOlderOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	newest := mustMakeOlder(t, path)
	right := map[string]fs.FS{"m": files("0001.sql", "CREATE TABLE m_t (x)")}
	subs := []journal.Subscription{{Name: "m/s", Types: []string{"t"}}}
	for name, c := range map[string]struct {
		tables map[string]fs.FS
		subs   []journal.Subscription
	}{
		"changed":      {map[string]fs.FS{"a": files("0001.sql", "CREATE TABLE a_t (x)"), "m": files("0001.sql", "CREATE TABLE m_t (y)")}, subs},
		"older":        {map[string]fs.FS{"m": files("0000.sql", "CREATE TABLE m_t (y)")}, subs},
		"transactions": {map[string]fs.FS{"m": right["m"], "z": files("0001.sql", "CREATE TABLE z_t (x);\ncommit;")}, subs},
		"elsewhere":    {right, []journal.Subscription{{Name: "m/s", Types: []string{"t"}, Elsewhere: true}}},
	} {
		j := mustOpen(t, path)
		if err := j.Fits(t.Context(), c.tables, c.subs); err == nil {
			t.Errorf("%s: it is not refused", name)
		}
		if err := errors.Join(j.Health(), j.View(t.Context(), func(tx *sql.Tx) error { return nil })); err != nil || j.ID() == "" {
			t.Errorf("%s: a view: %v, id %q", name, err, j.ID())
		}
		mustClose(t, j)
		if got := lacks(t, path); !strings.HasPrefix(got, newest) {
			t.Errorf("%s: after it the journal lacks %q, want %s", name, got, newest)
		}
	}
	j := mustOpen(t, path)
	if _, err := j.Observe(t.Context(), nil); !errors.Is(err, ErrDeployable) {
		t.Errorf("an observer: %v", err)
	}
	if got := lacks(t, path); !strings.HasPrefix(got, newest) {
		t.Errorf("after an observer the journal lacks %q, want %s", got, newest)
	}
	if err := j.Fits(t.Context(), right, subs); err != nil {
		t.Fatal(err)
	}
	if got := lacks(t, path); got != "" {
		t.Errorf("after a program that fits the journal lacks %s", got)
	}
	mustSubscribe(t, j, subs...)
	mustClose(t, j)
}

// Whoever does not ask whether he fits has the journal brought up to date by his first work, and by nothing before.
func TestTheFirstWorkBringsAJournalUpToDate(t *testing.T) {
	t.Parallel()
	nothing := func(journal.TxFunc) ([]*journal.Event, error) { return nil, nil }
	for name, first := range map[string]func(j *Journal) error{
		"a publish": func(j *Journal) error { return j.Publisher().Publish("t", message.NewMessage("a", nil)) },
		"units of work": func(j *Journal) error {
			var workers sync.WaitGroup
			for range 4 {
				workers.Go(func() {
					if err := j.Do(t.Context(), journal.Work{}, nothing); err != nil {
						t.Error(err)
					}
				})
			}
			workers.Wait()
			return nil
		},
		"a migration": func(j *Journal) error { return j.Migrate(t.Context(), "n", files("0001.sql", "CREATE TABLE n_t (x)")) },
		"a subscriber": func(j *Journal) error {
			_, err := j.Subscriber("g").Subscribe(t.Context(), "t")
			return err
		},
		"a feed": func(j *Journal) error {
			_, err := j.Feed(t.Context(), journal.FeedEvents)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j.db")
			newest := mustMakeOlder(t, path)
			mustClose(t, mustOpen(t, path))
			j := mustOpen(t, path)
			if got := lacks(t, path); !strings.HasPrefix(got, newest) {
				t.Errorf("before it the journal lacks %q, want %s", got, newest)
			}
			if err := first(j); err != nil {
				t.Error(err)
			}
			if got := lacks(t, path); got != "" {
				t.Errorf("after it the journal lacks %s", got)
			}
			mustClose(t, j)
			if err := j.Do(t.Context(), journal.Work{}, nothing); !errors.Is(err, journal.ErrClosed) {
				t.Errorf("work after the close: %v", err)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "j.db")
	mustMakeOlder(t, path)
	j := mustOpen(t, path)
	mustClose(t, j)
	if err := j.Do(t.Context(), journal.Work{}, nothing); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("the first work after the close: %v", err)
	}
}
