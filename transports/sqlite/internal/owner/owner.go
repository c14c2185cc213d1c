// Package owner says whose a journal is: the program, its modules, and whether another program may open the journal.
package owner

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

// OtherProgramError means that a program tried to open another program's journal. Nothing was written.
type OtherProgramError struct {
	Program   string   // the program that tried
	Owner     string   // the journal's program; "" if unknown
	Modules   []string // with subscriptions, tables or delayed events in the journal
	Adoptable bool     // Program may adopt the journal: it has one of Modules, or there are none
}

// Error names the journal's program, and the remedy.
func (e *OtherProgramError) Error() string {
	modules := strings.Join(e.Modules, ", ")
	switch {
	case e.Owner == "":
		return fmt.Sprintf("it is a journal of modules that %s does not have (%s): run the program that has them, or name another file",
			e.Program, modules)
	case !e.Adoptable:
		return fmt.Sprintf("it is a journal of %s, and this is %s, which has none of the journal's modules (%s): run %s on it, or name another file",
			e.Owner, e.Program, modules, e.Owner)
	}
	return fmt.Sprintf("it is a journal of %s, and this is %s: run %s on it, or name another journal", e.Owner, e.Program, e.Owner)
}

// Is reports whether target is ErrOtherProgram.
func (e *OtherProgramError) Is(target error) bool { return target == ErrOtherProgram }

// StrandedError means that the journal has a subscription of a module that is not to run on the journal, so that nobody
// would handle its open deliveries.
type StrandedError struct{ Subscription string }

// Module returns the module of the subscription.
func (e *StrandedError) Module() string {
	return journal.ModuleOf(e.Subscription)
}

// Error implements error.
func (e *StrandedError) Error() string {
	return fmt.Sprintf("this journal has the subscription %s, and the module %s is not to run here: "+
		"its open deliveries would stop; run the module here, or split it off", e.Subscription, e.Module())
}

// Owner describes the program of a journal.
type Owner struct {
	Program  *journal.Program // nil if the journal does not know its program
	Modules  []string         // with subscriptions in the journal
	Retired  []string         // with retired subscriptions
	holds    []string         // the modules with subscriptions, tables or delayed events
	observed bool             // the journal is an observer's, with the subscriptions of other programs
}

// Other returns an error when the journal does not belong to p, and nil otherwise. Without a known program, the modules
// decide.
func (o Owner) Other(p *journal.Program) *OtherProgramError {
	own := p.Modules()
	fits := func(modules []string) bool {
		return len(modules) == 0 || slices.ContainsFunc(modules, func(m string) bool { return slices.Contains(own, m) })
	}
	other := &OtherProgramError{Program: p.Name, Modules: o.holds, Adoptable: fits(o.holds)}
	switch {
	case o.Program != nil && o.Program.Name != p.Name:
		other.Owner = o.Program.Name
		return other
	case o.Program == nil && !fits(o.Modules):
		return other
	}
	return nil
}

// Of returns the owner of a journal. A new file has none.
func Of(ctx context.Context, q row.Queryer) (o Owner, err error) {
	tables := map[string]bool{}
	err = row.Each(ctx, q, row.SQL("SELECT name FROM sqlite_schema WHERE (SELECT application_id FROM pragma_application_id) = ?",
		schema.ApplicationID), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		tables[name] = true
		return err
	})
	if err == nil && tables["program"] {
		o.Program, err = ReadProgram(ctx, q)
	}
	if err == nil && tables["observer"] {
		err = row.Each(ctx, q, row.SQL("SELECT 1 FROM observer"), func(*sql.Rows) error {
			o.observed = true
			return nil
		})
	}
	if err != nil || !tables["subscriptions"] {
		return o, err
	}
	const subscribed = "SELECT name FROM subscriptions WHERE kind = 'bus' AND retired_at IS "
	if o.Modules, err = modulesIn(ctx, q, subscribed+"NULL"); err != nil {
		return o, err
	}
	if o.Retired, err = modulesIn(ctx, q, subscribed+"NOT NULL"); err != nil {
		return o, err
	}
	o.holds, err = modulesIn(ctx, q, "SELECT module FROM migrations UNION SELECT source FROM delayed")
	o.holds = append(o.holds, o.Modules...)
	slices.Sort(o.holds)
	o.holds = slices.Compact(o.holds)
	return o, err
}

// modulesIn returns the modules in the names that query returns: the first parts of the names.
func modulesIn(ctx context.Context, q row.Queryer, query string) (modules []string, err error) {
	err = row.Each(ctx, q, row.SQL(query), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		if module := journal.ModuleOf(name); module != "bus" && module != schema.Journal && module != "" {
			modules = append(modules, module)
		}
		return err
	})
	slices.Sort(modules)
	return slices.Compact(modules), err
}

// Check returns an *OtherProgramError for the journal of another program than p, unless p may adopt the journal
// and adopt is true: adopts is true then. The journal of an observer passes if it does not know its program: a
// subscription on it is refused with a better error.
func Check(ctx context.Context, q row.Queryer, p *journal.Program, adopt bool) (adopts bool, err error) {
	o, err := Of(ctx, q)
	if err != nil || o.Program == nil && o.observed {
		return false, err
	}
	other := o.Other(p)
	switch {
	case other == nil:
		return false, nil
	case adopt && other.Adoptable:
		return true, nil
	}
	return false, other
}

// ReadProgram returns the program of a journal with the table program; nil if the table is empty.
func ReadProgram(ctx context.Context, q row.Queryer) (*journal.Program, error) {
	var p *journal.Program
	err := row.Each(ctx, q, row.SQL("SELECT name, declares FROM program"), func(rows *sql.Rows) error {
		var name, declares string
		if err := rows.Scan(&name, &declares); err != nil {
			return err
		}
		p = &journal.Program{}
		if err := json.Unmarshal([]byte(declares), p); err != nil {
			return fmt.Errorf("the declarations of program %s: %w", name, err)
		}
		p.Name = name
		return nil
	})
	return p, err
}
