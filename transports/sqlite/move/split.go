package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// Split moves modules out of the journal at o.Journal into a new journal at o.Other, and proves that no row was lost or
// doubled. Split is all or nothing, even when the process is killed: call Split again then. ctx can end the split only
// before the decision.
func Split(ctx context.Context, o Options) (*Proof, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(o.checkOther(), o.checkFolder()); err != nil {
		return nil, err
	}
	s := &split{Options: o, proof: o.proof("split")}
	s.part = s.proof.part(o.Other)
	if o.DryRun {
		return s.dryRun(ctx)
	}
	defer func() { _ = s.close() }() // what matters is on disk already
	if again, err := s.begin(ctx); err != nil || again != nil {
		return again, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.a.Close(), s.abandon(ctx))
	}
	if err := s.decide(ctx); err != nil {
		return nil, errors.Join(err, s.a.Close(), s.abandon(ctx))
	}
	return s.proof, s.finish(context.WithoutCancel(ctx))
}

// split is a running Split.
type split struct {
	Options
	proof *Proof
	part  string // path where the new journal is built
	locks dbfile.Locks
	a     *dbfile.File // the journal; its write lock is held from begin to decide
	b     *dbfile.File // the new journal while it is built

	identity string
	before   inventory.Inventory // of the journal
	moved    inventory.Part      // expected in the new journal
}

func (s *split) close() error { return errors.Join(s.b.Close(), s.a.Close(), s.locks.Release()) }

func (s *split) dryRun(ctx context.Context) (_ *Proof, err error) {
	if err := dbfile.CheckReadable(ctx, s.Journal); err != nil {
		return nil, err
	}
	if s.a, err = dbfile.Look(ctx, s.Journal); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if found, err := dbfile.Exists(s.Other); err != nil || found {
		return nil, errors.Join(err, s.exists())
	}
	if err := s.count(ctx); err != nil {
		return nil, err
	}
	s.proof.DryRun = true
	if s.b, err = dbfile.Open(ctx, "", dbfile.Volatile); err != nil { // in memory, for the tables of choose
		return nil, err
	}
	if err := s.choose(ctx); err != nil {
		return nil, err
	}
	s.proof.compare([2]inventory.Part{s.moved}, [2]inventory.Part{s.before.Staying})
	return s.proof, nil
}

// look refuses a split that begin would refuse, and changes no file. A journal of an older program, and the result of
// an earlier run, are left to begin.
func (s *split) look(ctx context.Context) error {
	if current, err := dbfile.Current(ctx, s.Journal); err != nil || !current {
		return err
	}
	if found, err := dbfile.Exists(s.Other); err != nil || found {
		_, refused := s.half(ctx)
		return cmp.Or(err, refused)
	}
	return dbfile.Peek(ctx, s.Journal, func(a *dbfile.File) error { return checkLeaving(ctx, a, s.Modules) })
}

// half returns the record of the split that made the journal at Other, and an ErrExists for any other file.
func (s *split) half(ctx context.Context) (r *record, err error) {
	err = dbfile.Peek(ctx, s.Other, func(b *dbfile.File) error {
		r, err = readMove(ctx, b, "SELECT proof, state FROM main.moves WHERE act = 'split' AND proof ->> '$.asks' IS NOT NULL ORDER BY at DESC LIMIT 1")
		return err
	})
	if err != nil || r == nil {
		return nil, s.exists()
	}
	return r, nil
}

func (s *split) exists() error { return fmt.Errorf("%w: %s: name another one", ErrExists, s.Other) }

// begin checks and locks both journals. If the split took place before, begin returns its proof.
func (s *split) begin(ctx context.Context) (again *Proof, err error) {
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	if err := dbfile.Refresh(ctx, s.Journal); err != nil {
		return nil, err
	}
	if err := s.locks.Take(s.Journal); err != nil {
		return nil, err
	}
	if s.a, err = dbfile.Open(ctx, s.Journal, dbfile.Durable); err != nil {
		return nil, err
	}
	// People who act on dead letters do not take the lock of a journal.
	if err := s.a.Run(ctx, dbfile.Stmt("BEGIN IMMEDIATE")); err != nil {
		return nil, err
	}
	if err := s.a.QueryRowContext(ctx, "SELECT id FROM main.identity").Scan(&s.identity); err != nil {
		return nil, err
	}
	if again, err := s.leftover(ctx); err != nil || again != nil {
		return again, err
	}
	if err := dbfile.CheckBeside(s.Other); err != nil {
		return nil, err
	}
	if err := dbfile.CheckSpace(s.Journal, s.Other, !s.NoBackup); err != nil {
		return nil, err
	}
	s.Progress("counting")
	if err := s.count(ctx); err != nil {
		return nil, err
	}
	if err := s.locks.Take(s.Other); err != nil {
		return nil, err
	}
	return nil, errors.Join(dbfile.RemoveParts(s.Journal), dbfile.RemoveParts(s.Other))
}

// leftover checks a file at Other: it removes a file from a killed split, and returns the proof of a split that took
// place.
func (s *split) leftover(ctx context.Context) (*Proof, error) {
	if found, err := dbfile.Exists(s.Other); err != nil || !found {
		return nil, err
	}
	var look dbfile.Locks
	if err := look.Take(s.Other); err != nil {
		return nil, err
	}
	defer func() { _ = look.Release() }() // begin takes the lock again after the checks
	otherRow, err := s.half(ctx)
	if err != nil {
		return nil, err
	}
	b, err := dbfile.Open(ctx, s.Other, dbfile.Durable)
	if err != nil {
		return nil, errors.Join(s.exists(), err)
	}
	defer func() { _ = b.Close() }()
	if err := s.refuseMerged(ctx, b); err != nil {
		return nil, err
	}
	if dbfile.List(otherRow.Proof.Modules) != dbfile.List(s.Modules) {
		return nil, s.exists()
	}
	row, err := readMove(ctx, s.a, "SELECT proof, state FROM main.moves WHERE id = ?", otherRow.Proof.ID)
	switch {
	case err != nil:
		return nil, err
	case row != nil && row.Proof.Act == "split":
		return s.again(ctx, b, row.Proof)
	case otherRow.state == "prepared" && (row != nil || otherRow.Asks == s.identity): // never decided, or undone
		return nil, errors.Join(b.Close(), dbfile.Remove(s.Other))
	default:
		return nil, s.exists()
	}
}

// refuseMerged returns an error when the modules of the journal b were merged into another journal.
func (s *split) refuseMerged(ctx context.Context, b *dbfile.File) error {
	r, err := readMove(ctx, b, merged)
	switch {
	case err != nil || r == nil:
		return err
	case r.state == "done":
		return fmt.Errorf("%w: %s: its modules were merged into %s: name another one, or remove that one", ErrExists, s.Other, r.Proof.Journal)
	default:
		return fmt.Errorf("%w: %s: its merge into %s has begun and may not have finished: repeat or undo the merge, or name another one", ErrExists, s.Other, r.Proof.Journal)
	}
}

// again returns the proof p of a split that took place, if its modules have not been moved since.
func (s *split) again(ctx context.Context, b *dbfile.File, p *Proof) (*Proof, error) {
	last, err := lastMove(ctx, s.a, p.Modules)
	if err != nil {
		return nil, err
	}
	if last == nil || last.Proof.ID != p.ID {
		return nil, fmt.Errorf("%w: %s: %s went there at %s, and was moved since: name another one",
			ErrExists, s.Other, strings.Join(p.Modules, ", "), p.At.Format(time.DateTime))
	}
	s.repeated(p)
	return p, b.Run(ctx, dbfile.Stmt("UPDATE main.moves SET state = 'done' WHERE id = ?", p.ID))
}

// count checks the modules, and takes the inventory of the journal.
func (s *split) count(ctx context.Context) (err error) {
	if err := checkLeaving(ctx, s.a, s.Modules); err != nil {
		return err
	}
	s.before, err = inventory.Take(ctx, s.a, s.Modules)
	return err
}

// prepare makes the copy of the journal, and the new journal.
func (s *split) prepare(ctx context.Context) error {
	if err := s.at("locked"); err != nil {
		return err
	}
	if !s.NoBackup {
		if err := s.backUp(ctx, s.proof, s.before); err != nil {
			return err
		}
		if err := s.at("backed up"); err != nil {
			return err
		}
	}
	s.Progress("building " + s.Other)
	if err := s.build(ctx); err != nil {
		return fmt.Errorf("build %s: %w", s.Other, err)
	}
	if err := s.at("built"); err != nil {
		return err
	}
	if err := dbfile.Settle(s.part, s.Other); err != nil {
		return err
	}
	return s.at("renamed")
}

// decide takes the modules out of the journal, checks the proof and commits. The commit makes the split.
func (s *split) decide(ctx context.Context) error {
	s.Progress("taking " + fmt.Sprint(s.Modules) + " out of " + s.Journal)
	if err := s.leave(ctx); err != nil {
		return fmt.Errorf("take out of %s: %w", s.Journal, err)
	}
	after, err := inventory.Take(ctx, s.a, s.Modules)
	if err != nil {
		return err
	}
	created, err := inventory.Of(ctx, s.Other, s.Modules)
	if err != nil {
		return err
	}
	s.judge(after, created)
	if err := s.proof.check(); err != nil {
		return err
	}
	r := record{Path: s.Journal, Proof: s.proof, Before: s.before, After: after, OtherAfter: created}
	if err := r.put(ctx, s.a, s.Other, "done"); err != nil {
		return err
	}
	if err := errors.Join(s.Ready(), s.at("judged")); err != nil {
		return err
	}
	return s.a.Run(context.WithoutCancel(ctx), dbfile.Stmt("COMMIT"))
}

// judge compares the inventories of both journals with the expected sums, and fills the proof.
func (s *split) judge(after, created inventory.Inventory) {
	left := inventory.Part{}
	for name, sum := range after.Moving { // no row of the modules may be left in the journal
		if name != inventory.ToSend && name != inventory.Emitted { // the journal keeps them; the new journal sends them
			left["left behind: "+name] = sum
		}
	}
	extra := inventory.Part{}
	for name, sum := range created.Staying { // no row of other modules may be in the new journal
		if name != inventory.Events {
			extra["others': "+name] = sum
		}
	}
	got := inventory.Part{inventory.Events: created.Staying[inventory.Events]}
	for _, p := range []inventory.Part{created.Moving, left, extra} {
		for name, sum := range p {
			got[name] = sum
		}
	}
	s.proof.compare([2]inventory.Part{s.moved, got}, [2]inventory.Part{s.before.Staying, after.Staying})
}

// finish marks the split as done in the new journal, and checks the proof again from the disk.
func (s *split) finish(ctx context.Context) error {
	if err := errors.Join(s.at("decided"), s.a.Close()); err != nil {
		return err
	}
	s.a = nil
	b, err := dbfile.Open(ctx, s.Other, dbfile.Durable)
	if err != nil {
		return err
	}
	row := record{Asks: s.identity, Path: s.Other, Proof: s.proof}
	if err := errors.Join(row.put(ctx, b, s.Journal, "done"), b.Close()); err != nil {
		return err
	}
	if err := s.at("done"); err != nil {
		return err
	}
	s.Progress("checking both journals on disk")
	return s.verify(ctx)
}

// verify checks the proof against the files. After a difference, verify undoes the split.
func (s *split) verify(ctx context.Context) error {
	after, err := inventory.Of(ctx, s.Journal, s.Modules)
	if err != nil {
		return err
	}
	created, err := inventory.Of(ctx, s.Other, s.Modules)
	if err != nil {
		return err
	}
	s.judge(after, created)
	if err = s.proof.check(); err == nil {
		err = inventory.Audit(ctx, s.Journal, s.Other)
	}
	if err == nil {
		return nil
	}
	if s.NoBackup {
		return fmt.Errorf("%w: there is no copy to restore: find the cause before you run either journal", err)
	}
	if restored := restore(ctx, s.proof); restored != nil {
		return errors.Join(err, fmt.Errorf("restoring the journal failed, too: its copy is %s: %w", s.proof.Backup, restored))
	}
	return errors.Join(fmt.Errorf("%w: the journal was restored", err), dbfile.Remove(s.Other))
}

// abandon removes the files of a split that did not take place. The journal decides: a commit that returned an error
// may have been made after all.
func (s *split) abandon(ctx context.Context) error {
	a, err := dbfile.Open(context.WithoutCancel(ctx), s.Journal, dbfile.Reading)
	if err != nil {
		return err
	}
	n, err := a.Int64(context.WithoutCancel(ctx), "SELECT count(*) FROM main.moves WHERE id = ?", s.proof.ID)
	if err = errors.Join(err, a.Close()); err != nil || n > 0 {
		return err
	}
	errs := []error{s.b.Close(), dbfile.RemoveLocked(s.part), dbfile.Remove(s.Other)}
	if s.proof.Backup != "" {
		errs = append(errs, dbfile.Remove(s.proof.Backup), dbfile.Remove(s.proof.part(s.proof.Backup)))
	}
	if err := os.Remove(s.Other + ".lock"); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	s.b = nil
	return errors.Join(errs...)
}
