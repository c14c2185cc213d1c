package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
)

// ErrOtherProgram: the journal belongs to another program. The error is an *OtherProgramError.
var ErrOtherProgram = errors.New("sqlite: journal of another program")

// OtherProgramError says whose journal it is that a program has tried to open. Nothing was written.
type OtherProgramError struct {
	Program string   // that tried
	Owner   string   // that the journal belongs to; "" where the journal does not know its program's name yet
	Modules []string // that have subscriptions in the journal, where Owner is ""
}

// Error says whose the journal is, and what to do.
func (e *OtherProgramError) Error() string {
	if e.Owner == "" {
		return fmt.Sprintf("it is a journal of modules that %s does not have (%s): run the program that has them, or name another journal",
			e.Program, strings.Join(e.Modules, ", "))
	}
	return fmt.Sprintf("it is a journal of %s, and this is %s: run %s on it, or name another journal", e.Owner, e.Program, e.Owner)
}

// Is reports whether target is ErrOtherProgram.
func (e *OtherProgramError) Is(target error) bool { return target == ErrOtherProgram }

// checkOwner refuses a journal that belongs to another program than j.cfg.Program. It writes nothing.
func (j *Journal) checkOwner(ctx context.Context, c *sql.Conn) error {
	if j.cfg.Program == nil || j.cfg.Adopt {
		return nil
	}
	owner, modules, err := ownerOf(ctx, c)
	if err != nil {
		return err
	}
	own := func(module string) bool { return slices.Contains(j.cfg.Program.Modules(), module) }
	switch {
	case owner != nil && owner.Name != j.cfg.Program.Name:
		return &OtherProgramError{Program: j.cfg.Program.Name, Owner: owner.Name}
	case owner == nil && len(modules) > 0 && !slices.ContainsFunc(modules, own):
		return &OtherProgramError{Program: j.cfg.Program.Name, Modules: modules}
	}
	return nil
}

// ownerOf returns the program of a journal, nil where the journal knows none, and the modules that have subscriptions in it. A file
// that is no journal yet has neither.
func ownerOf(ctx context.Context, q queryer) (p *journal.Program, modules []string, err error) {
	tables := map[string]bool{}
	err = each(ctx, q, statement{query: "SELECT name FROM sqlite_schema WHERE (SELECT application_id FROM pragma_application_id) = ?",
		args: []any{applicationID}}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		tables[name] = true
		return err
	})
	if err == nil && tables["program"] {
		p, err = readProgram(ctx, q)
	}
	if err != nil || !tables["subscriptions"] {
		return p, nil, err
	}
	query := "SELECT name FROM subscriptions WHERE kind = 'bus' AND retired_at IS NULL"
	if tables["observer"] { // an observer's journal has the subscriptions of others; Subscribe refuses it, and says more
		query += " AND NOT EXISTS (SELECT 1 FROM observer)"
	}
	err = each(ctx, q, statement{query: query}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		if module, _, _ := strings.Cut(name, "/"); module != "bus" {
			modules = append(modules, module)
		}
		return err
	})
	slices.Sort(modules)
	return p, slices.Compact(modules), err
}

// readProgram returns the program of a journal that has the table for it; nil where the table is empty.
func readProgram(ctx context.Context, q queryer) (*journal.Program, error) {
	var p *journal.Program
	err := each(ctx, q, statement{query: "SELECT name, declares FROM program"}, func(rows *sql.Rows) error {
		var name, declares string
		if err := rows.Scan(&name, &declares); err != nil {
			return err
		}
		p = &journal.Program{}
		if err := json.Unmarshal([]byte(declares), p); err != nil {
			return fmt.Errorf("sqlite: the declarations of program %s: %w", name, err)
		}
		p.Name = name
		return nil
	})
	return p, err
}

// keepProgram notes whose the journal is.
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

// Program returns the program that the journal belongs to, or nil where the journal does not know it: it was made by a program
// without a name, or before journals kept the name.
func (r *Reader) Program(ctx context.Context) (p *journal.Program, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		p, err = readProgram(ctx, tx)
		return err
	})
	return p, err
}
