package bustest_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// A right program of another trade: a library lends its copies for two weeks, fines who is late, and writes a letter. Whatever the kit
// does to it, it has nothing to say.

type (
	loanAsked struct{ Loan, Title string }
	copyLent  struct{ Loan, Title string }
	noCopy    struct{ Loan string }
	loanDue   struct{ Loan string }
	loanBack  struct{ Loan, Title string }
	loanFined struct{ Loan string }
	letter    struct{ Loan string }
)

func (loanAsked) EventType() string  { return "loans.asked" }
func (e loanAsked) EventKey() string { return e.Loan }
func (copyLent) EventType() string   { return "shelf.lent" }
func (e copyLent) EventKey() string  { return e.Loan }
func (noCopy) EventType() string     { return "shelf.none" }
func (e noCopy) EventKey() string    { return e.Loan }
func (loanDue) EventType() string    { return "loans.due" }
func (e loanDue) EventKey() string   { return e.Loan }
func (loanBack) EventType() string   { return "loans.back" }
func (e loanBack) EventKey() string  { return e.Loan }
func (loanFined) EventType() string  { return "loans.fined" }
func (e loanFined) EventKey() string { return e.Loan }
func (letter) EventType() string     { return "post.sent" }
func (e letter) EventKey() string    { return e.Loan }

// lendingDesk is what readers talk to.
type lendingDesk struct{ loans, shelf *bus.Module }

const twoWeeks = 14 * 24 * time.Hour

func lending() bustest.System[lendingDesk] {
	return bustest.System[lendingDesk]{Open: sqlitetest.Open, Verify: verifyLibrary, Wire: func(b *bus.Bus, w *bustest.World) lendingDesk {
		d := lendingDesk{loans: wireLoans(b), shelf: wireShelf(b)}
		post := b.Module("post").ForOutside(letter{})
		bus.On(post, "write", func(ctx context.Context, e loanFined) (bus.Events, error) {
			r := bustest.Request{Op: "letter", Key: bus.Delivery(ctx).ID, Body: e.Loan}
			_, err := bustest.Ask(ctx, w.Service("post"), r, func() (bool, error) { return true, nil })
			return bus.Emit(letter(e)), err
		}).Emits(letter{}).External(2)
		return d
	}}
}

func wireLoans(b *bus.Bus) *bus.Module {
	m := b.Module("loans").Emits(loanAsked{}, loanBack{}).Migrations(fstest.MapFS{"0001.sql": {Data: []byte(
		"CREATE TABLE loans_loans (id TEXT PRIMARY KEY, title TEXT NOT NULL, state TEXT NOT NULL, fined INTEGER NOT NULL DEFAULT 0)")}})
	bus.On(m, "lend", func(ctx context.Context, e copyLent) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "UPDATE loans_loans SET state = 'lent' WHERE id = ?", e.Loan)
		return bus.Emit(bus.After(twoWeeks, loanDue{e.Loan})), err
	}).Emits(loanDue{})
	bus.On(m, "refuse", func(ctx context.Context, e noCopy) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "UPDATE loans_loans SET state = 'refused' WHERE id = ?", e.Loan)
		return nil, err
	}).AnyOrder()
	bus.On(m, "fine", func(ctx context.Context, e loanDue) (bus.Events, error) {
		changed, err := change(ctx, "UPDATE loans_loans SET state = 'late', fined = 1 WHERE id = ? AND state = 'lent'", e.Loan)
		if err != nil || changed == 0 {
			return nil, err
		}
		return bus.Emit(loanFined(e)), nil
	}).Emits(loanFined{})
	return m
}

func wireShelf(b *bus.Bus) *bus.Module {
	m := b.Module("shelf").Migrations(fstest.MapFS{"0001.sql": {Data: []byte(
		"CREATE TABLE shelf_titles (title TEXT PRIMARY KEY, here INTEGER NOT NULL CHECK (here >= 0), owned INTEGER NOT NULL)")}})
	bus.On(m, "take", func(ctx context.Context, e loanAsked) (bus.Events, error) {
		changed, err := change(ctx, "UPDATE shelf_titles SET here = here - 1 WHERE title = ? AND here > 0", e.Title)
		if err != nil || changed == 0 {
			return bus.Emit(noCopy{e.Loan}), err
		}
		return bus.Emit(copyLent(e)), nil
	}).Emits(copyLent{}, noCopy{})
	bus.On(m, "put-back", func(ctx context.Context, e loanBack) (bus.Events, error) {
		_, err := change(ctx, "UPDATE shelf_titles SET here = here + 1 WHERE title = ?", e.Title)
		return nil, err
	}).AnyOrder()
	return m
}

func change(ctx context.Context, query string, args ...any) (changed int64, err error) {
	res, err := bus.Tx(ctx).ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (d lendingDesk) own(ctx context.Context, title string, copies int) error {
	_, err := d.shelf.Do(ctx, func(ctx context.Context) (bus.Events, error) {
		_, err := change(ctx, "INSERT INTO shelf_titles (title, here, owned) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING", title, copies)
		return nil, err
	})
	return err
}

func (d lendingDesk) ask(ctx context.Context, loan, title string) error {
	_, err := d.loans.Do(bus.Correlate(ctx, loan), func(ctx context.Context) (bus.Events, error) {
		changed, err := change(ctx, "INSERT INTO loans_loans (id, title, state) VALUES (?, ?, 'asked') ON CONFLICT DO NOTHING", loan, title)
		if err != nil || changed == 0 {
			return nil, err
		}
		return bus.Emit(loanAsked{loan, title}), nil
	})
	return err
}

func (d lendingDesk) giveBack(ctx context.Context, loan, title string) error {
	_, err := d.loans.Do(ctx, func(ctx context.Context) (bus.Events, error) {
		changed, err := change(ctx, "UPDATE loans_loans SET state = 'back' WHERE id = ? AND state IN ('lent', 'late')", loan)
		if err != nil || changed == 0 {
			return nil, err
		}
		return bus.Emit(loanBack{loan, title}), nil
	})
	return err
}

// verifyLibrary: every copy is on the shelf or lent, every loan is decided, and every fine has one letter.
func verifyLibrary(ctx context.Context, tables func(module string) bus.SQL, w *bustest.World) ([]string, error) {
	here, err := count(ctx, tables("shelf"), "SELECT title, owned - here FROM shelf_titles")
	if err != nil {
		return nil, err
	}
	out, err := count(ctx, tables("loans"), "SELECT title, sum(state IN ('lent', 'late')) FROM loans_loans GROUP BY title")
	if err != nil {
		return nil, err
	}
	fined, err := count(ctx, tables("loans"), "SELECT id, fined FROM loans_loans WHERE state != 'asked'")
	var wrong []string
	for title, n := range here {
		if out[title] != n {
			wrong = append(wrong, fmt.Sprintf("%d copies of %s are not on the shelf, and %d are lent", n, title, out[title]))
		}
	}
	letters := map[any]int{}
	for _, c := range w.Service("post").Done("letter") {
		letters[c.Body]++
	}
	for loan, n := range fined {
		if letters[loan] != n {
			wrong = append(wrong, fmt.Sprintf("loan %s: %d fines, %d letters", loan, n, letters[loan]))
		}
	}
	if undecided, err := count(ctx, tables("loans"), "SELECT 'undecided', count(*) FROM loans_loans WHERE state = 'asked'"); err != nil || undecided["undecided"] > 0 {
		wrong = append(wrong, fmt.Sprintf("%d loans are undecided: %v", undecided["undecided"], err))
	}
	return wrong, err
}

// many is how many schedules there are: few in every run of the tests, and as many as TROUPE_SCHEDULES says.
func many(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("TROUPE_SCHEDULES"))
	if err != nil && os.Getenv("TROUPE_SCHEDULES") != "" {
		t.Fatalf("TROUPE_SCHEDULES is %q: want a number", os.Getenv("TROUPE_SCHEDULES"))
	}
	return max(n, 84)
}

func TestALibrary(t *testing.T) {
	t.Parallel()
	x := bustest.Exploration{Schedules: many(t), With: bustest.Optional}
	bustest.Explore(t, lending(), x, func(app *bustest.App[lendingDesk]) {
		app.Must("two copies are bought", func(ctx context.Context, d lendingDesk) error { return d.own(ctx, "Emma", 2) })
		app.Beside("the librarian's retry", sqlitetest.Retry("post/write"))
		app.Beside("the librarian's replay", sqlitetest.Replay("shelf/take"))
		app.Beside("a foreign reader's table", sqlitetest.Write("loans", "CREATE TABLE IF NOT EXISTS report (n INTEGER)"))
		reads := func(loan string) func(c *bustest.Client[lendingDesk]) {
			return func(c *bustest.Client[lendingDesk]) {
				c.Must("ask for "+loan, func(ctx context.Context, d lendingDesk) error { return d.ask(ctx, loan, "Emma") })
				c.Must("give back "+loan, func(ctx context.Context, d lendingDesk) error { return d.giveBack(ctx, loan, "Emma") })
			}
		}
		app.Together(reads("a"), reads("b"), reads("c"))
		app.Advance(twoWeeks + time.Hour)
		app.Beside("the librarian's second retry", sqlitetest.Retry("post/write"))
		app.Must("give back a at last", func(ctx context.Context, d lendingDesk) error { return d.giveBack(ctx, "a", "Emma") })
	})
}
