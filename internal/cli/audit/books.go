package audit

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite"
)

// bookTables passes the transactions of the tables to the rules of the books, and notes the first mistake of the rules.
type bookTables struct {
	*console.Wired
	hook  string                      // the field of the App that has the rules
	find  func(module string) bus.SQL // returns nil for a module in a journal that is not open
	ended bus.SQL                     // for a wrong module: every use is an error

	mu    sync.Mutex
	wrong error
}

// newBookTables returns the tables for Books.Tables. r may be any of the journals.
func newBookTables(
	ctx context.Context, p *console.Wired, r *sqlite.Reader, find func(module string) bus.SQL,
) (*bookTables, error) {
	t := &bookTables{Wired: p, hook: cmp.Or(p.Books.Hook, "Books.Tables"), find: find}
	err := r.View(ctx, func(tx *sql.Tx) error {
		t.ended = tx
		return nil
	})
	return t, err
}

// of returns the transaction of the tables of module.
func (t *bookTables) of(module string) bus.SQL {
	known := slices.Concat(t.Modules(), t.Wiring().Tables)
	slices.Sort(known)
	known = slices.Compact(known)
	if !slices.Contains(known, module) {
		t.note(fmt.Errorf("app %s: %s asks for the tables of %q, which is no module: there are %s",
			t.Name, t.hook, module, strings.Join(known, ", ")))
		return t.ended
	}
	if tx := t.find(module); tx != nil {
		return tx
	}
	t.note(fmt.Errorf("app %s: %s asks for the tables of %s, which are in none of the journals: add --journal FILE",
		t.Name, t.hook, module))
	return t.ended
}

func (t *bookTables) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = cmp.Or(t.wrong, err)
}

// check calls Books.Tables. The transactions in open must be open afterwards: otherwise the tables were not read at one
// instant.
func (t *bookTables) check(ctx context.Context, settled bool, open ...*sql.Tx) (r console.Report, err error) {
	failed := t.Guard(t.hook, func() { r, err = t.Books.Tables(ctx, t.of, settled) })
	if failed != nil {
		return r, failed
	}
	t.mu.Lock()
	wrong := t.wrong
	t.mu.Unlock()
	if wrong != nil {
		return r, wrong
	}
	return r, cmp.Or(stillOpen(ctx, t.Wired, t.hook, open...), err)
}

// stillOpen returns an error if hook has ended one of the transactions that it was given.
func stillOpen(ctx context.Context, p *console.Wired, hook string, open ...*sql.Tx) error {
	for _, tx := range open {
		is, err := sqlite.InTransaction(ctx, tx)
		if err != nil {
			return err
		}
		if !is {
			return fmt.Errorf("app %s: %s committed or rolled back the transaction of the tables, which is only for reading:"+
				" remove the Commit or Rollback", p.Name, hook)
		}
	}
	return nil
}

// pages calls Books.Pages.
func pages(
	ctx context.Context, p *console.Wired, look func(func(*sql.Tx, bool) error) error, progress func(done, of int),
) (r console.Report, settled bool, err error) {
	const hook = "Books.Pages"
	var ended error
	watched := func(fn func(bus.SQL, bool) error) error {
		return look(func(tx *sql.Tx, settled bool) (err error) {
			panicked := p.Guard(hook, func() { err = fn(tx, settled) }) // a view has a goroutine of its own
			ended = cmp.Or(ended, panicked, stillOpen(ctx, p, hook, tx))
			return cmp.Or(ended, err)
		})
	}
	failed := p.Guard(hook, func() { r, settled, err = p.Books.Pages(ctx, watched, progress) })
	return r, settled, cmp.Or(failed, ended, err)
}
