package move

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// Undo restores both journals to their state before the last move of o.Journal, which must have been act, "split" or
// "merge". Undo needs the copy from that move, and neither journal may have changed since: else Undo returns ErrNothing
// or ErrChanged with the proof of that move, and only the opposite move brings the modules back. Undo is all or
// nothing, even when the process is killed: call Undo again then. Undo uses Journal and Progress of o.
func Undo(ctx context.Context, act string, o Options) (_ *Proof, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	u := &undo{Options: o, act: act}
	defer func() { err = errors.Join(err, u.look.Close(), u.locks.Release()) }()
	again, err := u.begin(ctx)
	if err != nil || again != nil {
		return again, err
	}
	if err := u.prepare(ctx); err != nil {
		return nil, err
	}
	return u.proof, u.finish(context.WithoutCancel(ctx))
}

// lastOwn finds the last move that the journal decided.
const lastOwn = "SELECT proof, state FROM main.moves WHERE proof ->> '$.asks' IS NULL ORDER BY at DESC, rowid DESC LIMIT 1"

// undo is a running Undo.
type undo struct {
	Options
	act   string
	proof *Proof
	move  *record // of the move to undo
	locks dbfile.Locks

	look    *dbfile.File // the journal, for reading
	version int64        // data_version of look: shows whether another connection has written
}

// opposite maps an act to the act that reverses it.
var opposite = map[string]string{"split": "merge", "merge": "split"}

// begin finds the move, locks both journals, and checks that neither has changed.
func (u *undo) begin(ctx context.Context) (again *Proof, err error) {
	// Only reading: opening the journal for writing would append the delayed events that are due.
	if err := dbfile.CheckReadable(ctx, u.Journal); err != nil {
		return nil, err
	}
	if err := dbfile.Peek(ctx, u.Journal, func(f *dbfile.File) error { return u.find(ctx, f) }); err != nil {
		return nil, err // before a lock file is made
	}
	if err := u.locks.Take(u.Journal); err != nil {
		return nil, err
	}
	if err := dbfile.RemoveParts(u.Journal); err != nil {
		return nil, err
	}
	if u.look, err = dbfile.Open(ctx, u.Journal, dbfile.Reading); err != nil {
		return nil, err
	}
	if u.version, err = u.look.Int64(ctx, "PRAGMA data_version"); err == nil {
		err = u.find(ctx, u.look)
	}
	if err != nil {
		return nil, err
	}
	u.proof = u.move.Proof
	if u.Other, err = u.other(); err != nil {
		return nil, err
	}
	u.proof.Journal, u.proof.Other = u.Journal, u.Other
	if u.proof.Act == "undo" {
		u.proof.Again = true
		if u.move.state == "done" {
			return u.proof, nil
		}
		return u.proof, u.clean(context.WithoutCancel(ctx)) // the earlier run was killed after the decision
	}
	if u.proof.Act != u.act {
		return u.proof, fmt.Errorf("%w: the last move of %s is a %s: undo the %s instead", ErrNothing, u.Journal, u.proof.Act, u.proof.Act)
	}
	if err := u.unchanged(ctx); err != nil {
		return u.proof, err
	}
	return nil, nil
}

// find sets u.move to the last move of the journal f.
func (u *undo) find(ctx context.Context, f *dbfile.File) (err error) {
	if u.move, err = readMove(ctx, f, lastOwn); err == nil && u.move == nil {
		err = fmt.Errorf("%w: %s was neither split nor merged", ErrNothing, u.Journal)
	}
	return err
}

// other returns the present path of the other journal: the path at the time of the move or, if the journal has a new
// path now, the same relative path from there.
func (u *undo) other() (string, error) {
	at := u.proof.Other
	if rel, err := filepath.Rel(filepath.Dir(u.move.Path), at); err == nil && u.move.Path != u.Journal {
		at = filepath.Join(filepath.Dir(u.Journal), rel)
	}
	found, err := dbfile.Exists(at)
	if err == nil && !found && u.proof.Act != "undo" {
		err = fmt.Errorf("%w: %s does not exist, so its changes cannot be checked", ErrChanged, at)
	}
	return at, err
}

// unchanged returns an error when a journal has changed since the move, or when the copy is missing.
func (u *undo) unchanged(ctx context.Context) error {
	p := u.proof
	instead := fmt.Sprintf("use the opposite move (%s)", opposite[p.Act])
	if p.Backup == "" {
		return fmt.Errorf("%w: no copy of %s was made: %s", ErrNothing, u.Journal, instead)
	}
	p.Backup = u.backup(p.ID)
	if found, err := dbfile.Exists(p.Backup); err != nil || !found {
		return errors.Join(err, fmt.Errorf("%w: the copy %s does not exist: %s", ErrNothing, p.Backup, instead))
	}
	if err := u.locks.Take(u.Other); err != nil {
		return err
	}
	u.Progress("comparing both journals with their state after the move")
	now, err := inventory.Take(ctx, u.look, p.Modules)
	if err != nil {
		return err
	}
	other, err := inventory.Of(ctx, u.Other, p.Modules)
	if err != nil {
		return err
	}
	copied, err := inventory.Of(ctx, p.Backup, p.Modules)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		path          string
		before, after inventory.Inventory
	}{{u.Journal, u.move.After, now}, {u.Other, u.move.OtherAfter, other}, {p.Backup, u.move.Before, copied}} {
		if diff := inventory.Changed(c.before, c.after); len(diff) > 0 {
			return fmt.Errorf("%w: %s: %s: %s", ErrChanged, c.path, strings.Join(diff, ", "), instead)
		}
	}
	return nil
}

// prepare makes the other journal ask this journal about the move, and copies the copy back. The copy has the row of
// the undo in place of the row of the move: copying back decides.
func (u *undo) prepare(ctx context.Context) error {
	if err := u.at("locked"); err != nil {
		return err
	}
	if err := dbfile.SetPrepared(ctx, u.Other, u.proof.ID); err != nil {
		return err
	}
	if err := u.at("prepared"); err != nil {
		return err
	}
	saved, err := dbfile.Open(ctx, u.proof.Backup, dbfile.Durable)
	if err != nil {
		return err
	}
	u.proof.Act, u.proof.Undoes = "undo", u.proof.Act
	undone := record{Path: u.Journal, Proof: u.proof, Before: u.move.Before, After: u.move.Before}
	if err = errors.Join(undone.put(ctx, saved, u.Other, "prepared"), saved.Close(), u.at("noted")); err != nil {
		return err
	}
	u.Progress("copying back")
	// People who act on dead letters do not take the lock of a journal.
	err = dbfile.CopyPages(ctx, u.proof.Backup, u.Journal, func() error {
		version, err := u.look.Int64(ctx, "PRAGMA data_version")
		if err != nil || version != u.version {
			return errors.Join(err, fmt.Errorf("%w: %s was written to meanwhile: try again", ErrChanged, u.Journal))
		}
		return u.at("copying")
	})
	if err != nil {
		return fmt.Errorf("copy back: %w", err)
	}
	return nil
}

// finish removes the results of the move, and compares the journal with its inventory before the move.
func (u *undo) finish(ctx context.Context) error {
	if err := u.at("decided"); err != nil {
		return err
	}
	if err := u.clean(ctx); err != nil {
		return err
	}
	u.Progress("checking the journal on disk")
	now, err := inventory.Of(ctx, u.Journal, u.proof.Modules)
	if err != nil {
		return err
	}
	if _, counted := u.move.Before.Moving[inventory.Emitted]; !counted { // an older program made the move
		delete(now.Moving, inventory.Emitted)
	}
	before := u.move.Before
	u.proof.compare([2]inventory.Part{before.Moving, now.Moving}, [2]inventory.Part{before.Staying, now.Staying})
	if err := u.proof.check(); err != nil {
		return err
	}
	return inventory.Audit(ctx, u.Journal)
}

// clean removes the new journal of a split, or allows writing to the other journal of a merge, and removes the copy.
func (u *undo) clean(ctx context.Context) error {
	var err error
	if u.proof.Undoes == "split" {
		err = dbfile.Remove(u.Other)
		_ = os.Remove(u.Other + ".lock") // may be gone already
	} else {
		err = unmark(ctx, u.Other, u.proof.ID)
	}
	if err != nil {
		return err
	}
	if err := u.at("cleaned"); err != nil {
		return err
	}
	a, err := dbfile.Open(ctx, u.Journal, dbfile.Durable)
	if err != nil {
		return err
	}
	err = a.Run(ctx, dbfile.Stmt("UPDATE main.moves SET state = 'done' WHERE id = ?", u.proof.ID))
	return errors.Join(err, a.Close(), dbfile.Remove(u.backup(u.proof.ID)))
}
