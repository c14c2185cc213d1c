package move

import (
	"context"
	"errors"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// guardedBy returns where module is when f has guards against module, else "".
func guardedBy(ctx context.Context, f *dbfile.File, module string) (why string, err error) {
	guarded, err := inventory.IsGuarded(ctx, f, module)
	if err != nil || !guarded {
		return "", err
	}
	r, err := readMove(ctx, f, `
SELECT proof, state FROM main.moves WHERE act = 'split' AND EXISTS (SELECT 1 FROM json_each(modules) WHERE value = ?) ORDER BY at DESC LIMIT 1`, module)
	if err != nil || r == nil {
		return module + " stayed in the journal from which this one was split off", err
	}
	return module + " went to " + r.Proof.Other + " when the journal was split", nil
}

// Refusal returns the text of the guard when err is the refusal of a program that would run a module in a journal that
// the module has left. The text says where the module is. Refusal returns any other error as it is.
func Refusal(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) || e.ExtendedCode != sqlite3.ErrConstraintTrigger {
		return err
	}
	return e
}
