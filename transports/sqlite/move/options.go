package move

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// Options are the options of a move. Journal and Other are required; Split requires Modules, too.
type Options struct {
	// Journal is the path of the journal that the modules leave (Split) or enter (Merge).
	Journal string
	// Other is the path of the journal that Split makes or Merge empties.
	Other string
	// Modules are the modules that Split moves. Merge moves all modules of Other.
	Modules []string
	// NoBackup makes no copy of Journal. Undo needs the copy. Defaults to making a copy.
	NoBackup bool
	// DryRun only counts the rows that would move, even while a process owns the journal. Defaults to moving.
	DryRun bool
	// Progress is called with a text about each step. Defaults to no calls.
	Progress func(doing string) `json:"-"`
	// Ready is called before the decision, when all is prepared and no program can use either journal, so that a program
	// can move files of its own along. An error of Ready ends the move and undoes its steps. When the move is repeated,
	// Ready may be called again. Undo does not call Ready. Defaults to no call.
	Ready func() error `json:"-"`

	at func(point string) error // tests fail or exit between two steps here
}

// Errors of a move. errors.Is also finds sqlite.ErrInUse and sqlite.ErrNewer.
var (
	// ErrModules means that the modules cannot be moved: the journal lacks a module, a module is in both journals, or no
	// module would stay.
	ErrModules = errors.New("move: modules cannot be moved")
	// ErrTies is the ErrModules of a split that would cut ties between tables, which Trespasses returns.
	ErrTies = fmt.Errorf("%w: their tables are tied to others", ErrModules)
	// ErrExists means that the file that Split would make exists.
	ErrExists = dbfile.ErrExists
	// ErrChanged means that a journal has changed since the move that Undo should undo.
	ErrChanged = errors.New("move: journal has changed since")
	// ErrNothing means that there is no move to undo, or no copy of the journal.
	ErrNothing = errors.New("move: nothing to undo")
	// ErrSpace means that the disk has too little space.
	ErrSpace = dbfile.ErrSpace
)

func (o Options) withDefaults() (Options, error) {
	if o.Journal == "" {
		return o, errors.New("move: field Journal is required")
	}
	var errs [2]error
	o.Journal, errs[0] = sqlite.Resolve(o.Journal)
	if o.Other != "" {
		o.Other, errs[1] = sqlite.Resolve(o.Other)
	}
	o.Modules = slices.Compact(slices.Sorted(slices.Values(o.Modules)))
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.at == nil {
		o.at = func(string) error { return nil }
	}
	return o, errors.Join(errs[:]...)
}

// checkFolder returns an error when the folder of the new journal does not exist.
func (o Options) checkFolder() error {
	folder := filepath.Dir(o.Other)
	found, err := dbfile.Exists(folder)
	if err == nil && !found {
		err = fmt.Errorf("%w: there is no folder %s: make it first, or name another one", fs.ErrNotExist, folder)
	}
	return err
}

// checkOther returns an error when Other cannot be the path of the other journal.
func (o Options) checkOther() error {
	if o.Other == "" {
		return errors.New("move: field Other is required")
	}
	if o.Other == o.Journal {
		return fmt.Errorf("move: %s cannot be both journals", o.Journal)
	}
	return dbfile.CheckName(o.Other)
}

func (o Options) proof(act string) *Proof {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return &Proof{ID: newID(), Act: act, Modules: o.Modules, Journal: o.Journal, Other: o.Other, At: now}
}

// repeated marks p, the proof of an earlier run, as such, and sets the present paths of the files.
func (o Options) repeated(p *Proof) {
	p.Again, p.Journal, p.Other = true, o.Journal, o.Other
	if p.Backup != "" {
		p.Backup = o.backup(p.ID)
	}
}

func (o Options) backup(id string) string { return o.Journal + ".before-" + id }

// Modules returns the names of the modules that have tables, subscriptions or delayed events in the journal at path.
func Modules(ctx context.Context, path string) (names []string, err error) {
	err = dbfile.Peek(ctx, path, func(f *dbfile.File) error {
		names, err = inventory.Modules(ctx, f)
		return err
	})
	return names, err
}

// modulesOf returns the modules of f. It returns an error for the journal of an observer, which runs no modules.
func modulesOf(ctx context.Context, f *dbfile.File) ([]string, error) {
	if n, err := f.Int64(ctx, "SELECT count(*) FROM main.observer"); err != nil || n > 0 {
		return nil, dbfile.OrErrorf(err, "%w: %s is the journal of an observer, which runs no modules", ErrModules, f.Path)
	}
	return inventory.Modules(ctx, f)
}

// checkLeaving returns an error when the modules cannot leave the journal f.
func checkLeaving(ctx context.Context, f *dbfile.File, modules []string) error {
	known, err := modulesOf(ctx, f)
	if err != nil {
		return err
	}
	if len(modules) == 0 {
		return fmt.Errorf("%w: name the modules to move: %s has %s", ErrModules, f.Path, strings.Join(known, ", "))
	}
	for _, m := range modules {
		if slices.Contains(known, m) {
			continue
		}
		if why, err := guardedBy(ctx, f, m); err != nil || why != "" {
			return dbfile.OrErrorf(err, "%w: %s", ErrModules, why)
		}
		return fmt.Errorf("%w: %s has neither tables nor subscriptions of %s: it has %s", ErrModules, f.Path, m, strings.Join(known, ", "))
	}
	if len(modules) == len(known) {
		return fmt.Errorf("%w: %s has no other modules: to move all of them, move the file", ErrModules, f.Path)
	}
	found, err := inventory.Trespasses(ctx, f, modules)
	if err != nil || len(found) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s %s (%d such ties in all)", ErrTies, found[0].Where, found[0].What, len(found))
}

// readMove returns the record that query finds, or nil.
func readMove(ctx context.Context, f *dbfile.File, query string, args ...any) (*record, error) {
	var proof, state string
	err := f.QueryRowContext(ctx, query, args...).Scan(&proof, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &record{state: state}
	return r, json.Unmarshal([]byte(proof), r)
}

// lastMove returns the last move that took any of modules out of or into the journal f and was not undone, or nil.
func lastMove(ctx context.Context, f *dbfile.File, modules []string) (*record, error) {
	return readMove(ctx, f, `
SELECT proof, state FROM main.moves WHERE act <> 'undo' AND proof ->> '$.asks' IS NULL
AND EXISTS (SELECT 1 FROM json_each(modules) WHERE value IN (SELECT value FROM json_each(?))) ORDER BY at DESC, rowid DESC LIMIT 1`, dbfile.List(modules))
}

// Trespasses returns the ties between the tables of modules and the tables of other modules in the journal at path. A
// split of the modules must remove these ties first. Trespasses does not see the Go code of handlers.
func Trespasses(ctx context.Context, path string, modules []string) (found []Trespass, err error) {
	err = dbfile.Peek(ctx, path, func(f *dbfile.File) error {
		found, err = inventory.Trespasses(ctx, f, modules)
		return err
	})
	return found, err
}

// Trespass is a trigger, view, index or foreign key in the schema of a journal that ties the tables of two modules
// together, so that the tables cannot be in two files; or a table that cannot be copied.
//
//	Where string // the table, trigger or view
//	What  string
type Trespass = inventory.Trespass
