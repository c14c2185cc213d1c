package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
)

// checkOwner refuses a journal of another program than j.cfg.Program, before any write.
func (j *Journal) checkOwner(ctx context.Context, c *sql.Conn) error {
	if j.cfg.Program == nil || j.cfg.Adopt {
		return nil
	}
	o, err := reader.OwnerOf(ctx, c)
	if err != nil || o.Program == nil && o.Observed { // Subscribe refuses an observer's journal, with a better error
		return err
	}
	if other := o.Other(j.cfg.Program); other != nil {
		return other
	}
	return nil
}

// keepProgram stores the program in the journal.
func (j *Journal) keepProgram(ctx context.Context, c *sql.Conn) error {
	p := j.cfg.Program
	if p == nil {
		return nil
	}
	declares, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, `INSERT INTO program (one, name, declares) VALUES (1, ?, ?)
ON CONFLICT (one) DO UPDATE SET name = excluded.name, declares = excluded.declares
WHERE name <> excluded.name OR declares <> excluded.declares`, p.Name, string(declares))
	return err
}

// Ran returns the modules that run on the journal, and the backend over which its events were last sent, "" for none. It
// reads journals of older programs, too, and those whose first start was ended before all tables were there.
func (r *Reader) Ran(ctx context.Context) (modules []string, backend string, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		o, err := ownerOf(ctx, tx)
		modules = o.modules
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

// Program returns the program that the journal belongs to, or nil where the journal does not know it: it was made by a program
// without a name, or before journals kept the name.
func (r *Reader) Program(ctx context.Context) (p *journal.Program, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		p, err = readProgram(ctx, tx)
		return err
	})
	return p, err
}

// OtherProgram returns whose journal it is when it is not one of p, as Open with p would say, and nil otherwise. The journal of an
// observer counts as one of the program that it observes.
func (r *Reader) OtherProgram(ctx context.Context, p *journal.Program) (other *OtherProgramError, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		o, err := ownerOf(ctx, tx)
		other = o.other(p)
		return err
	})
	return other, err
}
