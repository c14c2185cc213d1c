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

// Options say what is to be moved. Journal and Other are required, Modules for Split.
type Options struct {
	// Journal is the path of the journal that modules leave with Split, or come to with Merge.
	Journal string
	// Other is the path of the journal that Split makes, or Merge empties.
	Other string
	// Modules are those that Split moves. Merge moves all that Other has.
	Modules []string
	// NoBackup leaves out the copy of Journal that Undo needs. Defaults to making one.
	NoBackup bool
	// DryRun only counts what would move. It may be done beside the process that owns the journal. Defaults to moving.
	DryRun bool
	// Progress is told what is being done. Defaults to telling nobody.
	Progress func(doing string) `json:"-"`
	// Ready is called when nobody can use either journal and all is prepared, before the move is decided: for what a program
	// keeps beside its journals. Its error ends the move, and everything is as before. It may be called again when the move is
	// repeated. Undo does not call it. Defaults to doing nothing.
	Ready func() error `json:"-"`

	at func(point string) error // for tests that fail, or die, between two steps
}

// Errors that callers may want to tell apart. errors.Is finds sqlite.ErrInUse and sqlite.ErrNewer, too.
var (
	// ErrModules: the modules cannot be moved: they are not there, or in both journals, or are all that there are.
	ErrModules = errors.New("move: modules cannot be moved")
	// ErrExists: the file that Split was to make is there.
	ErrExists = dbfile.ErrExists
	// ErrChanged: a journal has changed since the move that was to be undone.
	ErrChanged = errors.New("move: journal has changed since")
	// ErrNothing: there is no move to undo, or no copy of the journal as it was.
	ErrNothing = errors.New("move: nothing to undo")
	// ErrSpace: the disk has too little room.
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

// checkFolder makes sure that there is a place for the file that Split makes.
func (o Options) checkFolder() error {
	folder := filepath.Dir(o.Other)
	there, err := dbfile.Exists(folder)
	if err == nil && !there {
		err = fmt.Errorf("move: %w: there is no folder %s: make it first, or name another one", fs.ErrNotExist, folder)
	}
	return err
}

// checkOther refuses what cannot be the other journal.
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
	return &Proof{ID: newID(), Act: act, Modules: o.Modules, Journal: o.Journal, Other: o.Other, At: time.Now().UTC().Truncate(time.Microsecond)}
}

// repeated makes p, of a move that took place before, say so, and where the files are now.
func (o Options) repeated(p *Proof) {
	p.Again, p.Journal, p.Other = true, o.Journal, o.Other
	if p.Backup != "" {
		p.Backup = o.backup(p.ID)
	}
}

func (o Options) backup(id string) string { return o.Journal + ".before-" + id }

// Modules are the names of those that the journal at path has something of: tables, subscriptions, or events to come.
func Modules(ctx context.Context, path string) (names []string, err error) {
	f, err := dbfile.Look(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return inventory.Modules(ctx, f)
}

// modulesOf are those of a journal that runs modules: that of an observer only looks as if it did.
func modulesOf(ctx context.Context, f *dbfile.File) ([]string, error) {
	if n, err := f.Int64(ctx, "SELECT count(*) FROM main.observer"); err != nil || n > 0 {
		return nil, dbfile.OrErrorf(err, "%w: %s is the journal of an observer, which runs none", ErrModules, f.Path)
	}
	return inventory.Modules(ctx, f)
}

// checkLeaving makes sure that modules can leave the journal f.
func checkLeaving(ctx context.Context, f *dbfile.File, modules []string) error {
	known, err := modulesOf(ctx, f)
	if err != nil {
		return err
	}
	if len(modules) == 0 {
		return fmt.Errorf("%w: none is named: %s has %s", ErrModules, f.Path, strings.Join(known, ", "))
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
		return fmt.Errorf("%w: %s has no others: to move them all, move the file", ErrModules, f.Path)
	}
	found, err := inventory.Trespasses(ctx, f, modules)
	if err != nil || len(found) == 0 {
		return err
	}
	t := found[0]
	return fmt.Errorf("%w: %s %s (%d in all, see the command 'split --check')", ErrModules, t.Where, t.What, len(found))
}

// readMove returns the record that query finds, nil when it finds none.
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

// lastMove returns the last move that took any of modules out of the journal f, or into it, and was not undone; nil when there is none.
func lastMove(ctx context.Context, f *dbfile.File, modules []string) (*record, error) {
	return readMove(ctx, f, `
SELECT proof, state FROM main.moves WHERE act <> 'undo' AND proof ->> '$.asks' IS NULL
AND EXISTS (SELECT 1 FROM json_each(modules) WHERE value IN (SELECT value FROM json_each(?))) ORDER BY at DESC, rowid DESC LIMIT 1`, dbfile.List(modules))
}

// Trespasses returns what stands in the way of parting modules from the others in the journal at path. What handlers do in
// Go is not seen.
func Trespasses(ctx context.Context, path string, modules []string) (found []Trespass, err error) {
	f, err := dbfile.Look(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return inventory.Trespasses(ctx, f, modules)
}

// Trespass is something in the schema of a journal that ties tables of two modules together, so that they cannot go into two
// files; or that cannot be moved at all. Where names the table, trigger or view; What says what is wrong with it.
type Trespass = inventory.Trespass
