package inventory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// Guards are triggers that keep a module out of a journal that the module has left. Without guards, a program that
// still runs the module on that journal would make the tables of the module anew, and handle all events a second time.

// guardName begins the names of all guards. No table of a module can have a name that begins like this.
const guardName = "elsewhere:"

func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// guarded are the tables with guards. The first two stop a program at its start, the others its work.
var guarded = []string{"subscriptions", "migrations", "schedules", "requests"}

// GuardOut makes f refuse subscriptions, migrations, schedules and idempotency keys of module with the error why.
func GuardOut(ctx context.Context, f *dbfile.File, module, why string) error {
	if err := LetIn(ctx, f, module); err != nil {
		return err
	}
	for _, table := range guarded {
		when := "new.module = " + quoteText(module)
		if table == "subscriptions" || table == "schedules" {
			when = fmt.Sprintf("substr(new.name, 1, %d) = %s", len(module)+1, quoteText(module+"/"))
		}
		err := f.Run(ctx, dbfile.Stmt(fmt.Sprintf("CREATE TRIGGER main.%s BEFORE INSERT ON %s WHEN %s BEGIN SELECT RAISE(ABORT, %s); END",
			Quote(guardName+module+":"+table), table, when, quoteText(why))))
		if err != nil {
			return err
		}
	}
	return nil
}

// LetIn removes the guards against module.
func LetIn(ctx context.Context, f *dbfile.File, module string) error {
	for _, table := range guarded {
		if err := f.Run(ctx, dbfile.Stmt("DROP TRIGGER IF EXISTS main."+Quote(guardName+module+":"+table))); err != nil {
			return err
		}
	}
	return nil
}

// CopyGuards copies the guards of the attached database from.
func CopyGuards(ctx context.Context, f *dbfile.File, from string) error {
	guards, err := f.Texts(ctx, "SELECT sql FROM "+from+".sqlite_schema WHERE type = 'trigger' AND name LIKE ?", guardName+"%")
	if err != nil {
		return err
	}
	for _, text := range guards {
		if err := f.Run(ctx, dbfile.Stmt(text)); err != nil {
			return err
		}
	}
	return nil
}

// Freeze makes f refuse acts on dead letters with the error why, since the dead letters are in another journal now.
func Freeze(ctx context.Context, f *dbfile.File, why string) error {
	return f.Run(ctx, dbfile.Stmt(fmt.Sprintf("CREATE TRIGGER IF NOT EXISTS main.%s BEFORE INSERT ON acts BEGIN SELECT RAISE(ABORT, %s); END",
		Quote(guardName+"acts"), quoteText(why))))
}

// Thaw reverses Freeze.
func Thaw(ctx context.Context, f *dbfile.File) error {
	return f.Run(ctx, dbfile.Stmt("DROP TRIGGER IF EXISTS main."+Quote(guardName+"acts")))
}

// IsGuarded reports whether f has guards against module.
func IsGuarded(ctx context.Context, f *dbfile.File, module string) (bool, error) {
	n, err := f.Int64(ctx, "SELECT count(*) FROM main.sqlite_schema WHERE name = ?", guardName+module+":migrations")
	return n > 0, err
}

// WhenSplit follows the module and the path in the text of a guard.
const WhenSplit = " when this journal was split"

// ElsewhereError is ElsewhereError of package move.
type ElsewhereError struct {
	error
	Other string // path of the journal to merge to bring the module back; "" if the module never was in this file
}

// Refusal is Refusal of package move.
func Refusal(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) || e.ExtendedCode != sqlite3.ErrConstraintTrigger {
		return err
	}
	text, _, guarded := strings.Cut(e.Error(), WhenSplit)
	if _, other, _ := strings.Cut(text, " went to "); guarded {
		return &ElsewhereError{e, other}
	}
	return e
}
