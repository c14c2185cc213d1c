package reader

import (
	"context"
	"database/sql"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/owner"
)

// OtherProgramError means that a program tried to open another program's journal.
type OtherProgramError = owner.OtherProgramError

// Ran returns the modules with subscriptions in the journal, also with retired ones, and the backend over which the
// journal's events were last sent, "" for none. Ran also reads journals of older programs, and journals whose first
// start ended before all tables existed.
func (r *Reader) Ran(ctx context.Context) (modules []string, backend string, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		o, err := owner.Of(ctx, tx)
		modules = append(o.Modules, o.Retired...)
		var sends bool
		if err == nil {
			err = tx.QueryRowContext(ctx, "SELECT count(*) FROM pragma_table_info('identity') WHERE name = 'carrier'").Scan(&sends)
		}
		if err == nil && sends {
			err = tx.QueryRowContext(ctx, "SELECT carrier FROM identity").Scan(&backend)
		}
		return err
	})
	return modules, backend, err
}

// Program returns the program of the journal, or nil if unknown: the program had no name, or was older than the names.
func (r *Reader) Program(ctx context.Context) (p *journal.Program, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		p, err = owner.ReadProgram(ctx, tx)
		return err
	})
	return p, err
}

// OtherProgram returns the error of Open with p for a journal of another program, and nil otherwise. The journal of an
// observer belongs to the observed program.
func (r *Reader) OtherProgram(ctx context.Context, p *journal.Program) (other *OtherProgramError, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		o, err := owner.Of(ctx, tx)
		other = o.Other(p)
		return err
	})
	return other, err
}
