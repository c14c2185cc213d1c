package move

import (
	"context"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// Guards are triggers that keep a module out of a journal that it is not in any more: a program that is started without
// --modules would otherwise make the module's tables anew, and have it handle all of history a second time.

// guardOut makes f refuse subscriptions and tables of module, and say why.
func guardOut(ctx context.Context, f *file, module, why string) error {
	guard := func(table, when string) step {
		return stmt(fmt.Sprintf("CREATE TRIGGER main.%s BEFORE INSERT ON %s WHEN %s BEGIN SELECT RAISE(ABORT, %s); END",
			quote(guardName+module+":"+table), table, when, quoteText(why)))
	}
	if err := letIn(ctx, f, module); err != nil {
		return err
	}
	return f.run(ctx,
		guard("subscriptions", fmt.Sprintf("substr(new.name, 1, %d) = %s", len(module)+1, quoteText(module+"/"))),
		guard("migrations", "new.module = "+quoteText(module)))
}

// guardedBy says where module is, when f has guards against it.
func guardedBy(ctx context.Context, f *file, module string) (why string, err error) {
	n, err := f.int64(ctx, "SELECT count(*) FROM main.sqlite_schema WHERE name = ?", guardName+module+":migrations")
	if err != nil || n == 0 {
		return "", err
	}
	r, err := readMove(ctx, f, `
SELECT proof, state FROM main.moves WHERE act = 'split' AND EXISTS (SELECT 1 FROM json_each(modules) WHERE value = ?) ORDER BY at DESC LIMIT 1`, module)
	if err != nil || r == nil {
		return module + " stayed behind when the journal was split off", err
	}
	return module + " went to " + r.Proof.Other + " when the journal was split", nil
}

// Refusal is what the journal says to a program that would run a module which is not in it any more, and what to do instead, when err
// is because of that; otherwise it is err.
func Refusal(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) || e.ExtendedCode != sqlite3.ErrConstraintTrigger {
		return err
	}
	return e
}

// letIn takes the guards of a module away.
func letIn(ctx context.Context, f *file, module string) error {
	for _, table := range []string{"subscriptions", "migrations"} {
		if err := f.run(ctx, stmt("DROP TRIGGER IF EXISTS main."+quote(guardName+module+":"+table))); err != nil {
			return err
		}
	}
	return nil
}

// copyGuards takes over those of the attached database from.
func copyGuards(ctx context.Context, f *file, from string) error {
	guards, err := f.texts(ctx, "SELECT sql FROM "+from+".sqlite_schema WHERE type = 'trigger' AND name LIKE ?", guardName+"%")
	if err != nil {
		return err
	}
	for _, text := range guards {
		if err := f.run(ctx, stmt(text)); err != nil {
			return err
		}
	}
	return nil
}

// freeze makes f refuse what people do with dead letters: what was merged into another journal is acted on there.
func freeze(ctx context.Context, f *file, why string) error {
	return f.run(ctx, stmt(fmt.Sprintf("CREATE TRIGGER IF NOT EXISTS main.%s BEFORE INSERT ON acts BEGIN SELECT RAISE(ABORT, %s); END",
		quote(guardName+"acts"), quoteText(why))))
}

// thaw undoes freeze.
func thaw(ctx context.Context, f *file) error {
	return f.run(ctx, stmt("DROP TRIGGER IF EXISTS main."+quote(guardName+"acts")))
}
