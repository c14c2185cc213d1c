package reader

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
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

// owner is what a journal knows of the program that it belongs to.
type owner struct {
	Program  *journal.Program // nil where the journal does not know it
	modules  []string         // that have subscriptions in the journal
	Observed bool             // the journal is an observer's, and the subscriptions are those of others
}

// Other returns whose the journal is when it is not one of p, and nil otherwise. Where the journal does not know its
// program, the modules tell.
func (o owner) Other(p *journal.Program) *OtherProgramError {
	own := p.Modules()
	switch {
	case o.Program != nil && o.Program.Name != p.Name:
		return &OtherProgramError{Program: p.Name, Owner: o.Program.Name}
	case o.Program == nil && len(o.modules) > 0 && !slices.ContainsFunc(o.modules, func(m string) bool { return slices.Contains(own, m) }):
		return &OtherProgramError{Program: p.Name, Modules: o.modules}
	}
	return nil
}

// OwnerOf returns the owner of a journal. A file that is no journal yet has none.
func OwnerOf(ctx context.Context, q row.Queryer) (o owner, err error) {
	tables := map[string]bool{}
	err = row.Each(ctx, q, row.SQL("SELECT name FROM sqlite_schema WHERE (SELECT application_id FROM pragma_application_id) = ?",
		schema.ApplicationID), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		tables[name] = true
		return err
	})
	if err == nil && tables["program"] {
		o.Program, err = readProgram(ctx, q)
	}
	if err == nil && tables["observer"] {
		err = row.Each(ctx, q, row.SQL("SELECT 1 FROM observer"), func(*sql.Rows) error {
			o.Observed = true
			return nil
		})
	}
	if err != nil || !tables["subscriptions"] {
		return o, err
	}
	err = row.Each(ctx, q, row.SQL("SELECT name FROM subscriptions WHERE kind = 'bus' AND retired_at IS NULL"), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		if module, _, _ := strings.Cut(name, "/"); module != "bus" {
			o.modules = append(o.modules, module)
		}
		return err
	})
	slices.Sort(o.modules)
	o.modules = slices.Compact(o.modules)
	return o, err
}

// readProgram returns the program of a journal that has the table for it; nil where the table is empty.
func readProgram(ctx context.Context, q row.Queryer) (*journal.Program, error) {
	var p *journal.Program
	err := row.Each(ctx, q, row.SQL("SELECT name, declares FROM program"), func(rows *sql.Rows) error {
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

// Program returns the program that the journal belongs to, or nil where the journal does not know it: it was made by
// a program without a name, or before journals kept the name.
func (r *Reader) Program(ctx context.Context) (p *journal.Program, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		p, err = readProgram(ctx, tx)
		return err
	})
	return p, err
}

// OtherProgram returns whose journal it is when it is not one of p, as Open with p would say, and nil otherwise. The
// journal of an observer counts as one of the program that it observes.
func (r *Reader) OtherProgram(ctx context.Context, p *journal.Program) (other *OtherProgramError, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		o, err := OwnerOf(ctx, tx)
		other = o.Other(p)
		return err
	})
	return other, err
}
