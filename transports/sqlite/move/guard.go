package move

import (
	"context"

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

// ElsewhereError has the text of a guard: a program would run a module in a journal that the module has left.
//
//	Other string // path of the journal to merge to bring the module back; "" if the module never was in this file
type ElsewhereError = inventory.ElsewhereError

// Refusal returns the text of the journal when err is the refusal of a program that would run a module in a journal
// that does not admit the module: an ElsewhereError if it is a guard's. Refusal returns any other error as it is.
func Refusal(err error) error { return inventory.Refusal(err) }
